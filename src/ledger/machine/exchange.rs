//! What members tell each other: pieces that spread, pools that are compared, certificates that one asks for.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::Bytes;

use super::admit::Refusal;
use super::events::{Fork, LedgerEvent};
use super::join::Scope;
use super::message::{self, LedgerMessage, Whole};
use super::peers::{CERTIFICATES_AT_ONCE, Channel, Peer};
use super::piece::{Piece, PieceId};
use super::pool::{self, bucket};
use super::{Ledger, records};
use crate::identity::BotId;
use crate::ledger::certificate::{Certificate, ChainError};
use crate::ledger::ids::{Height, Place};
use crate::ledger::statement::Body;

impl Ledger {
    /// Passes a piece on to everybody who does not have it.
    pub(super) fn spread(&mut self, id: PieceId, piece: &Piece, from: Option<Channel>) {
        if let Piece::Statement(statement) = piece
            && matches!(statement.body(), Body::Ballot(_))
        {
            let author = statement.author();
            let (now, pause) = (self.clock.elapsed, self.chain.rules().unit_ms() / 4);
            let last = self.last_spread.get(&author).copied();
            if last.is_some_and(|last| now.saturating_sub(last) < pause) {
                self.held_back.insert(author, last.unwrap_or_default().saturating_add(pause));
                return;
            }
            self.last_spread.insert(author, now);
        }
        let others = self.peers.iter().filter(|(channel, _)| Some(**channel) != from);
        let hearing = others.filter(|(_, peer)| self.is_for(peer.scope, &peer.key, piece));
        let hearing: Vec<Channel> = hearing.map(|(channel, _)| *channel).collect();
        for channel in hearing {
            if let Some(peer) = self.peers.get_mut(&channel) {
                peer.offer(id, piece.rank());
            }
        }
    }

    pub(super) fn spread_held_back(&mut self) {
        let now = self.clock.elapsed;
        let due: Vec<BotId> = self.held_back.iter().filter(|(_, at)| **at <= now).map(|(author, _)| *author).collect();
        for author in due {
            self.held_back.remove(&author);
            self.last_spread.insert(author, now);
            let Some(ballot) = self.pool.ballot(&author).cloned() else { continue };
            let piece = Piece::Statement(ballot);
            let members = self.peers.values_mut().filter(|peer| peer.scope == Scope::Member);
            members.for_each(|peer| peer.offer(piece.id(), piece.rank()));
        }
    }

    pub(super) fn here(&mut self) -> LedgerMessage {
        LedgerMessage::Here { place: self.chain.place(), whole: self.pool.digest() }
    }

    pub(super) fn say_here(&mut self, channel: Channel) {
        let here = self.here();
        if let Some(peer) = self.peers.get_mut(&channel) {
            peer.say(here);
        }
    }

    pub(super) fn say_here_to_all(&mut self) {
        let here = self.here();
        self.peers.values_mut().for_each(|peer| peer.say(here.clone()));
    }

    /// What an applicant and its sponsor say to each other is little: where they stand, heights, pieces.
    const fn may_say(scope: Scope, message: &LedgerMessage) -> bool {
        match message {
            LedgerMessage::Here { .. } | LedgerMessage::Pieces(_) => true,
            LedgerMessage::AskCertificates { .. } => !matches!(scope, Scope::Sponsor),
            LedgerMessage::Part { .. } => !matches!(scope, Scope::Applicant),
            LedgerMessage::Digests { .. } | LedgerMessage::Have { .. } | LedgerMessage::Want { .. } => {
                matches!(scope, Scope::Member)
            }
        }
    }

    pub(super) fn take_message(&mut self, channel: Channel, message: LedgerMessage) -> Result<(), Refusal> {
        let Some((key, scope)) = self.peers.get(&channel).map(|peer| (peer.key, peer.scope)) else { return Ok(()) };
        if !Self::may_say(scope, &message) {
            return Err(Refusal::NotAllowed(key));
        }
        match message {
            LedgerMessage::Here { place, whole } => self.take_here(channel, place, whole),
            LedgerMessage::Digests { place, digests } => self.take_digests(channel, place, &digests),
            LedgerMessage::AskCertificates { after } => {
                let newest = self.chain.place().height;
                if let Some(peer) = self.peers.get_mut(&channel) {
                    peer.send_certificates(after, newest, &self.genesis);
                }
            }
            LedgerMessage::Have { buckets, names } => self.take_have(channel, buckets, &names),
            LedgerMessage::Want { names } => {
                for id in names {
                    let found = self.pool.bytes(&id);
                    if let (Some((_, rank)), Some(peer)) = (found, self.peers.get_mut(&channel)) {
                        peer.repeat(id, rank);
                    }
                }
            }
            LedgerMessage::Pieces(pieces) => {
                let results: Vec<_> = pieces.iter().map(|bytes| self.take_piece(channel, bytes)).collect();
                // What a peer did wrong is told before what merely came too late.
                let faults = [Refusal::Forged, Refusal::Layout].map(Err);
                let worst = faults.into_iter().find(|fault| results.contains(fault));
                return worst.or_else(|| results.into_iter().find(Result::is_err)).unwrap_or(Ok(()));
            }
            LedgerMessage::Part { whole, at, of, bytes } => {
                let Some(peer) = self.peers.get_mut(&channel) else { return Ok(()) };
                let Some(bytes) = peer.take_part(whole, at, of, &bytes) else { return Ok(()) };
                match whole {
                    Whole::Piece => return self.take_piece(channel, &bytes),
                    Whole::Certificate => self.take_certificate(channel, &bytes),
                    // It is known already, or this ledger would not be.
                    Whole::Genesis => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn take_piece(&mut self, channel: Channel, bytes: &Bytes) -> Result<(), Refusal> {
        // What stands in a socket's buffer is not to be kept with it.
        let bytes = Bytes::copy_from_slice(bytes);
        let piece = Piece::read(&self.community, &bytes).map_err(|_| Refusal::Layout);
        let is_known = piece.as_ref().is_ok_and(|piece| self.pool.get(&piece.id()).is_some());
        let may_be_sent =
            |piece: &Piece| self.peers.get(&channel).is_none_or(|peer| self.is_for(peer.scope, &peer.key, piece));
        let piece = piece.and_then(|piece| if may_be_sent(&piece) { Ok(piece) } else { Err(Refusal::Unknown) });
        let result = piece.and_then(|piece| self.admit(piece, Some(channel)));
        match result {
            Ok(()) if is_known => self.stats.known += 1,
            Ok(()) => self.stats.taken += 1,
            Err(_) => self.stats.refused += 1,
        }
        result
    }

    pub(super) fn take_here(&mut self, channel: Channel, place: Place, whole: pool::Digest) {
        let own = self.chain.place();
        let Some(peer) = self.peers.get_mut(&channel) else { return };
        peer.place = Some(place);
        if place.height > own.height {
            // An applicant tells nothing that its sponsor does not know.
            if peer.scope == Scope::Applicant {
                return;
            }
            return self.ask_certificates(channel);
        }
        let here = usize::try_from(place.height.0).ok().and_then(|at| self.headers.get(at));
        if here.is_some_and(|here| *here != place.header) {
            // Two stories: whoever has the other one shows its certificate.
            if let Some(before) = place.height.0.checked_sub(1) {
                peer.say(LedgerMessage::AskCertificates { after: Some(Height(before)) });
            }
        } else if place == own && whole == self.pool.digest() {
            let key = peer.key;
            self.hear(&key);
        } else if place == own && peer.comparisons > 0 && self.own < peer.key && peer.scope == Scope::Member {
            // One side begins: both would send everything twice.
            peer.comparisons -= 1;
            peer.say(LedgerMessage::Digests { place, digests: self.pool.digests().to_vec() });
        }
    }

    /// Asks one peer at a time, of those that say that they are further the one that was asked in vain least often: whoever
    /// promises heights and brings none keeps nobody behind.
    pub(super) fn ask_certificates(&mut self, channel: Channel) {
        let after = self.chain.place().height;
        if self.peers.values().any(|peer| peer.asked.is_some()) {
            return;
        }
        let is_further =
            |peer: &Peer| peer.scope != Scope::Applicant && peer.place.is_some_and(|place| place.height > after);
        let further = self.peers.iter_mut().filter(|(_, peer)| is_further(peer));
        if let Some((_, peer)) = further.min_by_key(|(at, peer)| (peer.in_vain, **at != channel)) {
            peer.asked = Some(after);
            peer.say(LedgerMessage::AskCertificates { after: Some(after) });
        }
    }

    pub(super) fn take_digests(&mut self, channel: Channel, place: Place, digests: &[pool::Digest]) {
        if place != self.chain.place() {
            return;
        }
        let ours = self.pool.digests();
        let Some(peer) = self.peers.get_mut(&channel) else { return };
        let differ: Vec<usize> = (0..pool::BUCKETS).filter(|at| digests.get(*at) != Some(&ours[*at])).collect();
        if differ.is_empty() || peer.comparisons == 0 {
            return;
        }
        peer.comparisons -= 1;
        let (mut buckets, mut names) = (0_u64, Vec::new());
        for at in differ {
            let in_bucket: Vec<PieceId> = self.pool.bucket(at).copied().collect();
            // More than a frame takes is what liars ground their names for: those are passed on as they come, not compared.
            if in_bucket.len() > message::MAX_NAMES {
                continue;
            }
            if !names.is_empty() && names.len() + in_bucket.len() > message::MAX_NAMES {
                peer.say(LedgerMessage::Have { buckets, names: core::mem::take(&mut names) });
                buckets = 0;
            }
            buckets |= 1 << at;
            names.extend(in_bucket);
        }
        if buckets != 0 {
            peer.say(LedgerMessage::Have { buckets, names });
        }
    }

    /// A peer says all that it has in some buckets: it gets what it lacks, and is asked for what is lacking here.
    pub(super) fn take_have(&mut self, channel: Channel, buckets: u64, names: &[PieceId]) {
        let Some(peer) = self.peers.get_mut(&channel) else { return };
        for at in (0..pool::BUCKETS).filter(|at| buckets >> at & 1 == 1) {
            for id in self.pool.bucket(at) {
                if let (Err(_), Some(held)) = (names.binary_search(id), self.pool.get(id)) {
                    peer.repeat(*id, held.piece.rank());
                }
            }
        }
        let is_asked = |id: &&PieceId| buckets >> bucket(id) & 1 == 1 && self.pool.get(id).is_none();
        let wanted: Vec<PieceId> = names.iter().filter(is_asked).copied().collect();
        for some in wanted.chunks(message::MAX_NAMES) {
            peer.say(LedgerMessage::Want { names: some.to_vec() });
        }
        // So that the other side hears when both hold the same.
        self.say_here(channel);
    }

    pub(super) fn take_certificate(&mut self, channel: Channel, bytes: &Bytes) {
        let Ok(certificate) = Certificate::from_bytes(bytes) else { return };
        match self.follow(&certificate) {
            Ok(()) => {
                let height = self.chain.place().height;
                let Some(peer) = self.peers.get_mut(&channel) else { return };
                peer.in_vain = 0;
                let is_last = |after: Height| height.0 >= after.0.saturating_add(CERTIFICATES_AT_ONCE);
                let is_there = peer.place.is_none_or(|place| place.height <= height);
                if is_there || peer.asked.is_some_and(is_last) {
                    peer.asked = None;
                }
                if !is_there {
                    self.ask_certificates(channel);
                }
            }
            Err(ChainError::Height { .. } | ChainError::Previous) => {
                let height = certificate.header.height;
                if self.look_for_fork(certificate) == Err(ChainError::Previous) {
                    // The two stories part further down.
                    let after = height.0.checked_sub(2).map(Height);
                    if let (Some(after), Some(peer)) = (after, self.peers.get_mut(&channel)) {
                        peer.say(LedgerMessage::AskCertificates { after: Some(after) });
                    }
                }
            }
            Err(_) => {}
        }
    }

    /// Another certificate for a height that is known: if it holds, too many cheated.
    pub(super) fn look_for_fork(&mut self, theirs: Certificate) -> Result<(), ChainError> {
        let height = theirs.header.height;
        let before = height.0.checked_sub(1).and_then(|before| self.chain_at(Height(before)));
        let Some(before) = before.filter(|_| self.forked.is_none()).cloned() else { return Ok(()) };
        let ours = self.certificate(height).and_then(|bytes| Certificate::from_bytes(bytes).ok());
        if ours.as_ref().is_some_and(|ours| ours.header == theirs.header) {
            return Ok(());
        }
        before.clone().follow(&theirs, &*self.crypto)?;
        let Some(ours) = ours else { return Ok(()) };
        let signers: BTreeSet<BotId> = ours.signers(before.roster()).map(|member| member.key).collect();
        let signed_both =
            theirs.signers(before.roster()).map(|member| member.key).filter(|key| signers.contains(key)).collect();
        self.persist(records::FORK.into(), theirs.to_bytes().into());
        let fork = Box::new(Fork { ours, theirs, signed_both });
        self.forked = Some(fork.clone());
        self.notify(LedgerEvent::Forked(fork));
        Ok(())
    }
}
