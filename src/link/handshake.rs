//! The four messages, one consuming step each: a step that failed leaves nothing to go on with.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::{BufMut, BytesMut};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::code::{CloseReason, Code, Fault};
use super::keys::{
    self, ApplicationKeys, Binding, ExportError, Exporter, HandshakeKeys, Prologue, client_signs, next_hash,
    server_signs,
};
use super::message::{
    self, Facts, Head1, Head2, Inner, Kind, MAX_CREDENTIALS, Proof, TAG_LEN, VERSION, choose_suite, reverse,
};
use super::notes::Notes;
use super::records::{Opener, Sealer};
use crate::crypto::{Crypto, Ephemeral, Random, Signer, Suite};
use crate::identity::{BotId, CommunityId, Identity, may_be_key};
use crate::time::Instant;
use crate::wire::{FrameKind, HEADER_LEN, put_header};

/// What all links of one bot share.
#[derive(Clone)]
pub struct Setup {
    pub(super) crypto: Arc<dyn Crypto>,
    signer: Arc<dyn Signer>,
    id: BotId,
    community: CommunityId,
    tag_key: Zeroizing<[u8; 32]>,
    suites: Vec<Suite>,
    facts: Facts,
    facts_bytes: Vec<u8>,
    /// Takes its own key for another's, as a forger does.
    #[cfg(test)]
    blind: bool,
    #[cfg(feature = "trace")]
    pub(super) tape: Option<crate::tape::Tape>,
}

/// Credentials that are too long for a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials have at most {MAX_CREDENTIALS} bytes, these have {0}")]
pub struct CredentialsTooLong(pub usize);

impl Setup {
    /// Prepares a bot's side of its handshakes.
    ///
    /// `aes` tells that this machine has AES instructions: AES-256-GCM is then the first choice. Nothing is detected here,
    /// so that a recorded run replays on any machine.
    ///
    /// # Errors
    /// [`CredentialsTooLong`].
    pub fn new(
        crypto: Arc<dyn Crypto>,
        identity: &Identity,
        community: CommunityId,
        aes: bool,
        facts: Facts,
    ) -> Result<Self, CredentialsTooLong> {
        if facts.credentials.len() > MAX_CREDENTIALS {
            return Err(CredentialsTooLong(facts.credentials.len()));
        }
        let mut suites = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305].to_vec();
        if !aes {
            suites.reverse();
        }
        Ok(Self {
            signer: crypto.signer(identity.seed()).into(),
            crypto,
            id: identity.id(),
            tag_key: keys::tag_key(&community),
            community,
            suites,
            facts_bytes: facts.encode(),
            facts,
            #[cfg(test)]
            blind: false,
            #[cfg(feature = "trace")]
            tape: None,
        })
    }

    /// The same bot, which says something else about itself from now on.
    ///
    /// # Errors
    /// [`CredentialsTooLong`].
    pub fn saying(&self, facts: Facts) -> Result<Self, CredentialsTooLong> {
        if facts.credentials.len() > MAX_CREDENTIALS {
            return Err(CredentialsTooLong(facts.credentials.len()));
        }
        Ok(Self { facts_bytes: facts.encode(), facts, ..self.clone() })
    }

    /// The same, whose links' chance and tags are on a tape; the provider has to be.
    #[cfg(feature = "trace")]
    pub(crate) fn taped(self, tape: Option<&crate::tape::Tape>) -> Self {
        Self { tape: tape.cloned(), ..self }
    }

    /// Makes the bot claim another id, and spoil its signatures, as a hostile peer would.
    #[cfg(test)]
    pub(super) fn forge(&mut self, id: [u8; 32], spoil: fn(&mut [u8; 64])) {
        struct Spoiled(Arc<dyn Signer>, fn(&mut [u8; 64]));
        impl Signer for Spoiled {
            fn sign(&self, message: &[u8]) -> [u8; 64] {
                let mut signature = self.0.sign(message);
                self.1(&mut signature);
                signature
            }
        }
        let signer = self.signer.clone();
        self.signer = Arc::new(Spoiled(signer, spoil));
        self.id = BotId::proved(id);
        self.blind = true;
    }

    /// The bot's own id.
    #[must_use]
    pub const fn id(&self) -> BotId {
        self.id
    }

    /// What the bot says about itself.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("id", &self.id).field("suites", &self.suites).finish_non_exhaustive()
    }
}

/// Whom the client expects to answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Expect {
    /// This key and no other.
    Key(BotId),
    /// Any member of this roster.
    AnyOf(Arc<BTreeSet<BotId>>),
}

impl Expect {
    fn allows(&self, id: &BotId) -> bool {
        match self {
            Self::Key(key) => key == id,
            Self::AnyOf(roster) => roster.contains(id),
        }
    }
}

/// Which side of a link this is. Exhaustive: there is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It dialled.
    Client,
    /// It was dialled.
    Server,
}

/// Proof that a peer holds its key, took part in this very handshake, and answered for it.
///
/// Only a handshake makes one; functions that need a checked peer ask for it.
pub struct Authenticated {
    peer: BotId,
    side: Side,
    kind: Kind,
    suite: Suite,
    bound: bool,
    facts: Facts,
    transcript: [u8; 32],
    exporter: Exporter,
}

impl Authenticated {
    /// Whose key it is.
    #[must_use]
    pub const fn peer(&self) -> BotId {
        self.peer
    }

    /// Our side.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// What the client asked to be; covered by both signatures.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The cipher.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether the link is bound to a TLS session below it.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound
    }

    /// What the peer says about itself.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The transcript's hash: equal at both ends, different for every link.
    #[must_use]
    pub const fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }

    /// Fills `out` with a secret that only the two ends know, for the host's own use; at most [`MAX_EXPORT`](super::MAX_EXPORT)
    /// bytes.
    ///
    /// # Errors
    /// [`ExportError`], and `out` is left as it is.
    pub fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        self.exporter.export(label, context, out)
    }
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("peer", &self.peer)
            .field("side", &self.side)
            .field("kind", &self.kind)
            .field("suite", &self.suite)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

/// An open link's two directions.
pub(super) struct Records {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

/// Writes a frame whose body ends with the sealed proof of `setup`'s bot.
fn put_proof(
    setup: &Setup,
    suite: Suite,
    key: &[u8; 32],
    (kind, head): (FrameKind, &[u8]),
    signature: &[u8; 64],
    out: &mut BytesMut,
) {
    let sealed_len = 32 + setup.facts_bytes.len() + 64 + crate::crypto::TAG_LEN;
    let header = put_header(out, kind, head.len() + sealed_len);
    out.put_slice(head);
    let start = out.len();
    out.put_slice(setup.id.as_bytes());
    out.put_slice(&setup.facts_bytes);
    out.put_slice(signature);
    let tag = setup.crypto.aead(suite, key).seal(0, &header, &mut out[start..]);
    out.put_slice(&tag);
}

/// Opens a proof; its signature is not checked yet.
fn open_proof<'a>(
    setup: &Setup,
    suite: Suite,
    key: &[u8; 32],
    header: &[u8; HEADER_LEN],
    sealed: &'a mut [u8],
) -> Result<(Proof, &'a [u8]), Fault> {
    let text = setup.crypto.aead(suite, key).open(0, header, sealed).ok_or(Fault::BadBox)?;
    let (proof, facts) = Proof::decode(text)?;
    if !may_be_key(&proof.id) {
        return Err(Fault::BadSignature);
    }
    let own = proof.id == *setup.id.as_bytes();
    #[cfg(test)]
    let own = own && !setup.blind;
    if own {
        return Err(Fault::OurOwnKey);
    }
    Ok((proof, facts))
}

/// Client, after CONNECT.
pub(super) struct WaitAccept {
    prologue: Prologue,
    bound: bool,
    kind: Kind,
    ephemeral: Box<dyn Ephemeral>,
    body1: Vec<u8>,
    expect: Expect,
    string: String,
}

impl WaitAccept {
    pub(super) fn start(
        setup: &Setup,
        binding: &Binding,
        kind: Kind,
        expect: Expect,
        string: String,
        random: &mut Random,
        out: &mut BytesMut,
    ) -> Self {
        let prologue = Prologue::new(binding, &setup.community);
        let ephemeral = setup.crypto.ephemeral(random.secret());
        let mut challenge = [0; 32];
        random.fill(&mut challenge);
        let suites: Vec<u8> = setup.suites.iter().map(|s| s.to_wire()).collect();
        let head1 = Head1 { versions: (VERSION, VERSION), kind, suites, e: ephemeral.public(), challenge };
        let mut body1 = BytesMut::with_capacity(96);
        head1.encode(&mut body1);
        let tag = prologue.tag(&setup.tag_key, &body1);
        body1.put_slice(&tag);
        put_header(out, FrameKind::Connect, body1.len());
        out.put_slice(&body1);
        Self { prologue, bound: *binding != Binding::None, kind, ephemeral, body1: body1.into(), expect, string }
    }

    /// Takes CONNECT+ACK: everything is checked before a byte about this side is sent.
    pub(super) fn accept(
        self,
        setup: &Setup,
        now: Instant,
        header: &[u8; HEADER_LEN],
        body: &mut [u8],
        out: &mut BytesMut,
    ) -> Result<WaitOk, Fault> {
        let (head2, head2_bytes, sealed) = Head2::split(body)?;
        let suite = Suite::from_wire(head2.suite).filter(|suite| self.may_be_chosen(setup, *suite));
        let (Some(suite), VERSION) = (suite, head2.version) else { return Err(Fault::BadOffer) };
        let th2 = self.prologue.th2(&self.body1, &head2_bytes);
        let ee = self.ephemeral.agree(&head2.e).ok_or(Fault::LowOrder)?;
        let keys = HandshakeKeys::new(&th2, &ee, suite);
        drop(ee);
        let (proof, facts_bytes) = open_proof(setup, suite, &keys.server, header, sealed)?;
        let peer = BotId::proved(proof.id);
        if !self.expect.allows(&peer) {
            return Err(Fault::WrongPeer);
        }
        if !setup.crypto.verify(&proof.id, &server_signs(&th2, &proof.id, facts_bytes), &proof.signature) {
            return Err(Fault::BadSignature);
        }
        let th3 = next_hash(&th2, &proof.id, facts_bytes, &proof.signature);
        let signature = setup.signer.sign(&client_signs(&th3, setup.id.as_bytes(), &setup.facts_bytes));
        let th4 = next_hash(&th3, setup.id.as_bytes(), &setup.facts_bytes, &signature);
        put_proof(setup, suite, &keys.client, (FrameKind::Ack, &[]), &signature, out);
        let ApplicationKeys { client, server, exporter } = keys.application(setup.crypto.clone(), &th4);
        let mut sealer = Sealer::new(client, now);
        sealer.seal(now, out, Inner::Challenge(&self.string));
        let records = Records { sealer, opener: Opener::new(server) };
        let authenticated = Authenticated {
            peer,
            side: Side::Client,
            kind: self.kind,
            suite,
            bound: self.bound,
            facts: proof.facts,
            transcript: th4,
            exporter,
        };
        Ok(WaitOk { authenticated, records, string: self.string })
    }

    /// AES can only have been chosen where this side put it first.
    fn may_be_chosen(&self, setup: &Setup, suite: Suite) -> bool {
        suite == Suite::ChaCha20Poly1305 || setup.suites.first() == Some(&suite)
    }
}

/// Client, after ACK and its string.
pub(super) struct WaitOk {
    authenticated: Authenticated,
    records: Records,
    string: String,
}

impl WaitOk {
    /// Seals a first record of any content, as a hostile client would.
    #[cfg(test)]
    pub(super) fn reseal_first(&mut self, now: Instant, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        self.records.sealer.restart();
        self.records.sealer.seal_with(now, out, write);
    }

    /// Takes the verdict.
    pub(super) fn verdict(
        mut self,
        header: &[u8; HEADER_LEN],
        body: &mut [u8],
        notes: &mut Notes,
    ) -> Result<(Authenticated, Records), CloseReason> {
        let text = self.records.opener.open(header, body)?;
        notes.opened(text);
        match Inner::decode(text)? {
            Inner::Ok(back) => {
                let same = reverse(&self.string).as_bytes().ct_eq(back.as_bytes());
                if !bool::from(same) {
                    return Err(Fault::BadChallenge.into());
                }
                Ok((self.authenticated, self.records))
            }
            Inner::Ko(code, after) => Err(CloseReason::Peer { code, retry_after: super::retry_after(after) }),
            _ => Err(Fault::BadFrame.into()),
        }
    }
}

/// Server, after a CONNECT of its community.
pub(super) struct Hello {
    prologue: Prologue,
    bound: bool,
    pub(super) kind: Kind,
    suite: Suite,
    client_e: [u8; 32],
    body1: Vec<u8>,
}

impl Hello {
    /// Takes CONNECT. Nothing dear is computed before the tag is known to be good, and nothing is answered if it is not.
    ///
    /// The inner result is the code to refuse a known community's bot with.
    pub(super) fn read(setup: &Setup, binding: &Binding, body: &[u8]) -> Result<Result<Self, Code>, Fault> {
        let (head1_bytes, tag) = body.split_last_chunk::<TAG_LEN>().ok_or(Fault::BadFrame)?;
        let head1 = Head1::decode(head1_bytes)?;
        let prologue = Prologue::new(binding, &setup.community);
        let is_good = bool::from(prologue.tag(&setup.tag_key, head1_bytes).ct_eq(tag));
        #[cfg(feature = "trace")]
        let is_good = setup.tape.as_ref().map_or(is_good, |tape| tape.tag(is_good));
        if !is_good {
            return Err(Fault::BadTag);
        }
        if !(head1.versions.0..=head1.versions.1).contains(&VERSION) {
            return Ok(Err(Code::Version));
        }
        let suite = choose_suite(&setup.suites, &head1.suites).ok_or(Fault::BadOffer)?;
        Ok(Ok(Self {
            prologue,
            bound: *binding != Binding::None,
            kind: head1.kind,
            suite,
            client_e: head1.e,
            body1: body.to_vec(),
        }))
    }

    /// Sends CONNECT+ACK: one exchange and one signature.
    pub(super) fn answer(self, setup: &Setup, random: &mut Random, out: &mut BytesMut) -> Result<WaitAck, Fault> {
        let ephemeral = setup.crypto.ephemeral(random.secret());
        let mut challenge = [0; 32];
        random.fill(&mut challenge);
        let head2 = Head2 { version: VERSION, suite: self.suite.to_wire(), e: ephemeral.public(), challenge }.encode();
        let th2 = self.prologue.th2(&self.body1, &head2);
        let ee = ephemeral.agree(&self.client_e).ok_or(Fault::LowOrder)?;
        let keys = HandshakeKeys::new(&th2, &ee, self.suite);
        let signature = setup.signer.sign(&server_signs(&th2, setup.id.as_bytes(), &setup.facts_bytes));
        let th3 = next_hash(&th2, setup.id.as_bytes(), &setup.facts_bytes, &signature);
        put_proof(setup, self.suite, &keys.server, (FrameKind::ConnectAck, &head2), &signature, out);
        Ok(WaitAck { bound: self.bound, kind: self.kind, suite: self.suite, keys, th3 })
    }
}

/// Writes a refusal in clear.
pub(super) fn clear_ko(code: Code, retry_after: u32, out: &mut BytesMut) {
    put_header(out, FrameKind::ClearKo, 5);
    out.put_u8(code.to_wire());
    out.put_u32(retry_after);
}

/// Reads a refusal in clear. Before keys exist only two codes make sense; any other is no KO.
pub(super) fn read_clear_ko(body: &[u8]) -> Result<(Code, Duration), Fault> {
    let &[code, ref after @ ..] = body else { return Err(Fault::BadFrame) };
    let seconds = u32::from_be_bytes(after.try_into().map_err(|_| Fault::BadFrame)?);
    match Code::from_wire(code) {
        code @ (Code::Full | Code::Version) => {
            Ok((code, Duration::from_secs(u64::from(seconds)).min(super::MAX_CLEAR_RETRY_AFTER)))
        }
        _ => Err(Fault::BadFrame),
    }
}

/// Server, after CONNECT+ACK.
pub(super) struct WaitAck {
    bound: bool,
    kind: Kind,
    suite: Suite,
    keys: HandshakeKeys,
    th3: [u8; 32],
}

impl WaitAck {
    /// Takes ACK.
    pub(super) fn ack(
        self,
        setup: &Setup,
        now: Instant,
        header: &[u8; HEADER_LEN],
        body: &mut [u8],
    ) -> Result<WaitChallenge, Fault> {
        let (proof, facts_bytes) = open_proof(setup, self.suite, &self.keys.client, header, body)?;
        if !setup.crypto.verify(&proof.id, &client_signs(&self.th3, &proof.id, facts_bytes), &proof.signature) {
            return Err(Fault::BadSignature);
        }
        let th4 = next_hash(&self.th3, &proof.id, facts_bytes, &proof.signature);
        let ApplicationKeys { client, server, exporter } = self.keys.application(setup.crypto.clone(), &th4);
        let authenticated = Authenticated {
            peer: BotId::proved(proof.id),
            side: Side::Server,
            kind: self.kind,
            suite: self.suite,
            bound: self.bound,
            facts: proof.facts,
            transcript: th4,
            exporter,
        };
        let records = Records { sealer: Sealer::new(server, now), opener: Opener::new(client) };
        Ok(WaitChallenge { authenticated, records })
    }
}

/// Server, after ACK.
pub(super) struct WaitChallenge {
    authenticated: Authenticated,
    records: Records,
}

impl WaitChallenge {
    /// Takes the string; what is wrong with it in itself closes the link.
    pub(super) fn challenge(
        mut self,
        header: &[u8; HEADER_LEN],
        body: &mut [u8],
        notes: &mut Notes,
    ) -> Result<Proved, Fault> {
        let text = self.records.opener.open(header, body)?;
        notes.opened(text);
        let Inner::Challenge(string) = Inner::decode(text)? else { return Err(Fault::BadFrame) };
        let reversed = reverse(string);
        if string == reversed {
            return Err(Fault::BadChallenge);
        }
        Ok(Proved { authenticated: self.authenticated, records: self.records, reversed })
    }
}

/// Server, after everything the client had to show; only the verdict is missing.
pub(super) struct Proved {
    pub(super) authenticated: Authenticated,
    records: Records,
    pub(super) reversed: String,
}

impl Proved {
    pub(super) fn admit(mut self, now: Instant, out: &mut BytesMut) -> (Authenticated, Records) {
        self.records.sealer.seal(now, out, Inner::Ok(&self.reversed));
        (self.authenticated, self.records)
    }

    pub(super) fn refuse(mut self, now: Instant, code: Code, retry_after: u32, out: &mut BytesMut) {
        self.records.sealer.seal(now, out, Inner::Ko(code, retry_after));
    }
}

/// Draws the client's string: 32 letters and digits, no palindrome (I-25).
pub(super) fn draw_string(random: &mut Random) -> String {
    no_palindrome(|| letters_and_digits(random))
}

/// Draws again as long as a string is its own reverse.
pub(super) fn no_palindrome(mut draw: impl FnMut() -> String) -> String {
    loop {
        let string = draw();
        if message::reverse(&string) != string {
            return string;
        }
    }
}

fn letters_and_digits(random: &mut Random) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut string = String::with_capacity(32);
    while string.len() < 32 {
        // The top values are thrown away, so that every character is equally likely.
        let mut byte = [0];
        random.fill(&mut byte);
        if byte[0] < 248 {
            string.push(char::from(ALPHABET[usize::from(byte[0] % 62)]));
        }
    }
    string
}
