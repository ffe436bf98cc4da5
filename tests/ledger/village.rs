//! A village of ledgers in virtual time: clocks that are off, links that come and go, disks that can lose what was not synced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use interbot::crypto::Crypto;
use interbot::lab::ToyCrypto;
use interbot::ledger::{
    Answer, Application, Ask, Ballot, Body, Certificate, Channel, Evidence, Founding, Genesis, Height, Journal, Ledger,
    LedgerAction, LedgerEvent, LedgerMessage, LedgerStats, Outcome, Piece, Place, Preset, Refusal, Rules, Statement,
    StatementId, Whole,
};
use interbot::{BotId, Identity, UnixMillis};

/// When every village is founded.
pub(crate) const DAWN: u64 = 1_700_000_000_000;

pub(crate) struct Bot {
    pub(crate) identity: Identity,
    pub(crate) ledger: Option<Ledger>,
    /// Milliseconds that its clock is ahead.
    pub(crate) skew: i64,
    pub(crate) disk: BTreeMap<Bytes, Bytes>,
    /// Writes that are not durable yet, when its disk is slow.
    unsynced: VecDeque<(u64, Bytes, Bytes)>,
    pub(crate) slow_disk: bool,
    /// How many writes its disk still takes; the bot dies with it, in the middle of what it does.
    pub(crate) disk_lasts: Option<u64>,
    /// How many writes it asked for.
    pub(crate) writes: u64,
    pub(crate) events: Vec<LedgerEvent>,
    /// How its owner votes on everything, if at all.
    pub(crate) habit: Option<Answer>,
}

pub(crate) struct Village {
    pub(crate) now: u64,
    pub(crate) bots: Vec<Bot>,
    pub(crate) genesis: Genesis,
    pub(crate) crypto: Arc<dyn Crypto>,
    /// Open links, each way; the lower number first.
    links: BTreeSet<(usize, usize)>,
    /// Messages that were handed over, and their bytes.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) longest: usize,
    pub(crate) pieces: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    /// So many bots break down as they tell of their Commit.
    pub(crate) silenced: usize,
    /// Whether everything that is handed over is noted.
    pub(crate) listens: bool,
    /// Every statement that was ever handed over, alone or inside something.
    pub(crate) said: BTreeMap<StatementId, Statement>,
    /// Parts of pieces under way, by sender and receiver.
    parts: BTreeMap<(usize, usize), Vec<u8>>,
    /// Bots that speak without a ledger, and whom they pretend to be linked with.
    traitors: BTreeMap<usize, BTreeSet<usize>>,
    /// A traitor that replaces its ballot at everybody while an offer is on its way, and the number of its last one.
    pub(crate) racer: Option<(usize, u64)>,
    /// Who asked a traitor for the certificates after which height.
    pub(crate) asked: Vec<(usize, Option<Height>)>,
}

/// Chance that is the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0)
    }

    /// One of so many, from 0.
    pub(crate) fn below(&mut self, many: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % many.max(1)
    }

    pub(crate) fn at(&mut self, many: usize) -> usize {
        self.below(many as u64) as usize
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(crate) fn rules() -> Rules {
    Rules::preset(Preset::Village)
}

/// A village in which everybody says yes to everything.
pub(crate) fn agreeable(members: usize) -> Village {
    let mut village = Village::found(rules(), members);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    village
}

/// Asks for rules that differ in the number of witnesses.
pub(crate) fn amend(village: &mut Village, at: usize, witnesses: u8) -> StatementId {
    let rules = village.ledger(at).rules().clone();
    village.propose(at, Ask::Amend(Rules { witnesses, ..rules }))
}

pub(crate) fn seed(number: usize) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    seed
}

fn identity(number: usize) -> Identity {
    Identity::from_seed(seed(number))
}

pub(crate) fn id(number: usize) -> BotId {
    /// As many as the greatest village has, and strangers.
    const KEPT: usize = 64;
    static IDS: LazyLock<Vec<BotId>> = LazyLock::new(|| (0..KEPT).map(|number| identity(number).id()).collect());
    IDS.get(number).copied().unwrap_or_else(|| identity(number).id())
}

impl Village {
    /// Founds a village of so many members, all linked with each other.
    pub(crate) fn found(rules: Rules, members: usize) -> Self {
        let mut village = Self::found_apart(rules, members);
        for a in 0..members {
            for b in a + 1..members {
                village.link(a, b);
            }
        }
        village
    }

    /// The same, without a link.
    pub(crate) fn found_apart(rules: Rules, members: usize) -> Self {
        let crypto: Arc<dyn Crypto> = Arc::new(ToyCrypto);
        let founding = Founding {
            rules,
            founders: (0..members).map(id).collect(),
            opened_at: UnixMillis(DAWN),
            nonce: [7; 16],
            text: Bytes::from_static(b"a village"),
        };
        let sign = |at| (id(at), founding.sign(&*crypto.signer(&seed(at))));
        let signatures: Vec<_> = (0..members).map(sign).collect();
        let genesis = Genesis::new(founding, &signatures, &*crypto).expect("all founders signed");
        let mut village = Self {
            now: DAWN,
            bots: Vec::new(),
            genesis,
            crypto,
            links: BTreeSet::new(),
            frames: 0,
            bytes: 0,
            longest: 0,
            pieces: 0,
            refused: BTreeMap::new(),
            silenced: 0,
            listens: true,
            said: BTreeMap::new(),
            parts: BTreeMap::new(),
            traitors: BTreeMap::new(),
            racer: None,
            asked: Vec::new(),
        };
        for _ in 0..members {
            village.arrive(Journal::New);
        }
        village
    }

    /// Somebody with the genesis comes, with no records and no links.
    pub(crate) fn arrive(&mut self, journal: Journal) -> usize {
        let at = self.bots.len();
        let identity = identity(at);
        let ledger = Ledger::new(self.crypto.clone(), &identity, &self.genesis, journal, UnixMillis(self.now));
        self.bots.push(Bot {
            identity,
            ledger: Some(ledger),
            skew: 0,
            disk: BTreeMap::new(),
            unsynced: VecDeque::new(),
            slow_disk: false,
            disk_lasts: None,
            writes: 0,
            events: Vec::new(),
            habit: None,
        });
        self.pump();
        at
    }

    pub(crate) fn unit(&self) -> u64 {
        self.genesis.founding().rules.unit_ms()
    }

    pub(crate) fn clock(&self, at: usize) -> UnixMillis {
        UnixMillis(self.now.saturating_add_signed(self.bots[at].skew))
    }

    pub(crate) fn ledger(&mut self, at: usize) -> &mut Ledger {
        self.bots[at].ledger.as_mut().expect("it is up")
    }

    pub(crate) fn is_up(&self, at: usize) -> bool {
        self.bots[at].ledger.is_some()
    }

    fn channel(peer: usize) -> Channel {
        Channel(peer as u64)
    }

    pub(crate) fn link(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if a == b || !self.is_up(a) || !self.is_up(b) || !self.links.insert(pair) {
            return;
        }
        for (at, peer) in [(a, b), (b, a)] {
            let now = self.clock(at);
            self.ledger(at).handle_link_up(now, Self::channel(peer), id(peer));
        }
        self.pump();
    }

    pub(crate) fn unlink(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))) {
            for (at, peer) in [(a, b), (b, a)] {
                if let Some(ledger) = &mut self.bots[at].ledger {
                    ledger.handle_link_down(Self::channel(peer));
                }
            }
        }
    }

    /// All links between the two sides break; those within each stay, or come.
    pub(crate) fn part(&mut self, sides: &[&[usize]]) {
        let side = |at: usize| sides.iter().position(|side| side.contains(&at));
        let all = self.bots.len();
        for a in 0..all {
            for b in a + 1..all {
                if side(a).is_some() && side(a) == side(b) { self.link(a, b) } else { self.unlink(a, b) }
            }
        }
    }

    pub(crate) fn mend(&mut self) {
        let all: Vec<usize> = (0..self.bots.len()).collect();
        self.part(&[&all]);
    }

    /// The bot is away: no links, no ticks; its disk stays, as far as it was synced.
    pub(crate) fn crash(&mut self, at: usize) {
        (0..self.bots.len()).for_each(|other| self.unlink(at, other));
        self.bots[at].ledger = None;
        self.bots[at].unsynced.clear();
        self.traitors.values_mut().for_each(|peers| {
            peers.remove(&at);
        });
    }

    /// It comes back with what its disk has, and links with everybody who is there.
    pub(crate) fn restart(&mut self, at: usize) {
        let records: Vec<_> = self.bots[at].disk.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let (crypto, now) = (self.crypto.clone(), self.clock(at));
        let ledger = Ledger::restore(crypto, &self.bots[at].identity, now, records).expect("its own records");
        self.bots[at].ledger = Some(ledger);
        self.meet(at);
    }

    fn meet(&mut self, at: usize) {
        (0..self.bots.len()).for_each(|other| self.link(at, other));
        let traitors: Vec<usize> = self.traitors.keys().copied().collect();
        traitors.into_iter().for_each(|traitor| self.pretend(traitor, at));
        self.pump();
    }

    /// It comes back without its records.
    pub(crate) fn restart_empty(&mut self, at: usize) {
        self.bots[at].disk.clear();
        let (crypto, now) = (self.crypto.clone(), self.clock(at));
        let ledger = Ledger::new(crypto, &self.bots[at].identity, &self.genesis, Journal::Lost, now);
        self.bots[at].ledger = Some(ledger);
        self.meet(at);
    }

    /// The same, and it finds its way to one other only.
    pub(crate) fn restart_empty_beside(&mut self, at: usize, other: usize) {
        self.bots[at].disk.clear();
        let (crypto, now) = (self.crypto.clone(), self.clock(at));
        let ledger = Ledger::new(crypto, &self.bots[at].identity, &self.genesis, Journal::Lost, now);
        self.bots[at].ledger = Some(ledger);
        self.link(at, other);
    }

    /// It comes back with what its disk has, and finds its way to one other only.
    pub(crate) fn restart_beside(&mut self, at: usize, other: usize) {
        let records: Vec<_> = self.bots[at].disk.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let (crypto, now) = (self.crypto.clone(), self.clock(at));
        let ledger = Ledger::restore(crypto, &self.bots[at].identity, now, records).expect("its own records");
        self.bots[at].ledger = Some(ledger);
        self.link(at, other);
    }

    /// Its disk takes so many writes more, then the bot is gone.
    pub(crate) fn dies_after(&mut self, at: usize, writes: u64) {
        self.bots[at].disk_lasts = Some(writes);
    }

    /// Makes everything that a slow disk was given durable.
    pub(crate) fn sync(&mut self, at: usize) {
        while let Some((write, key, value)) = self.bots[at].unsynced.pop_front() {
            self.store(at, key, value);
            if let Some(ledger) = &mut self.bots[at].ledger {
                ledger.persisted(write);
            }
        }
        self.pump();
    }

    /// Makes the first of what a slow disk was given durable, at most so many; how many these were.
    pub(crate) fn sync_some(&mut self, at: usize, most: u64) -> u64 {
        let mut done = 0;
        while done < most {
            let Some((write, key, value)) = self.bots[at].unsynced.pop_front() else { break };
            self.store(at, key, value);
            if let Some(ledger) = &mut self.bots[at].ledger {
                ledger.persisted(write);
            }
            done += 1;
        }
        self.pump();
        done
    }

    fn store(&mut self, at: usize, key: Bytes, value: Bytes) {
        if value.is_empty() {
            self.bots[at].disk.remove(&key);
        } else {
            self.bots[at].disk.insert(key, value);
        }
    }

    /// Does what the ledgers ask until none asks.
    pub(crate) fn pump(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.bots.len() {
                while let Some(action) = self.bots[at].ledger.as_mut().and_then(Ledger::poll) {
                    busy = true;
                    self.perform(at, action);
                }
            }
        }
    }

    fn perform(&mut self, at: usize, action: LedgerAction) {
        match action {
            LedgerAction::Persist { write, key, value } => {
                assert!(key.len() <= 64, "{key:?}");
                self.bots[at].writes += 1;
                if let Some(left) = &mut self.bots[at].disk_lasts {
                    let Some(less) = left.checked_sub(1) else {
                        self.bots[at].disk_lasts = None;
                        return self.crash(at);
                    };
                    *left = less;
                }
                if self.bots[at].slow_disk {
                    self.bots[at].unsynced.push_back((write, key, value));
                } else {
                    self.store(at, key, value);
                    self.ledger(at).persisted(write);
                }
            }
            LedgerAction::Notify(event) => {
                let habit = self.bots[at].habit;
                if let (LedgerEvent::Proposed(question), Some(answer)) = (&event, habit) {
                    // An owner may vote only while its bot counts.
                    let _ = self.ledger(at).vote(question.id, Some(answer));
                }
                self.bots[at].events.push(event);
            }
            LedgerAction::Send(channel) => {
                let to = usize::try_from(channel.0).expect("a number of a bot");
                if to >= self.bots.len() {
                    return;
                }
                while let Some(message) = self.bots[at].ledger.as_mut().and_then(|ledger| ledger.next_message(channel))
                {
                    if self.listens {
                        self.overhear(at, to, &message);
                    }
                    if self.silenced > 0 && self.commits(at, &message) {
                        self.silenced -= 1;
                        return self.crash(at);
                    }
                    if !self.traitors.contains_key(&to) {
                        self.carry(at, to, &message);
                    } else if let LedgerMessage::AskCertificates { after } = message {
                        self.asked.push((at, after));
                    }
                }
            }
        }
    }

    /// Whether a message has a Commit of its sender.
    fn commits(&self, from: usize, message: &LedgerMessage) -> bool {
        let LedgerMessage::Pieces(pieces) = message else { return false };
        pieces.iter().any(|bytes| match Piece::read(&self.genesis.community(), bytes) {
            Ok(Piece::Statement(said)) => said.author() == id(from) && matches!(said.body(), Body::Commit { .. }),
            _ => false,
        })
    }

    /// Notes every statement in a message, whoever gets it.
    fn overhear(&mut self, from: usize, to: usize, message: &LedgerMessage) {
        let pieces = match message {
            LedgerMessage::Pieces(pieces) => pieces.clone(),
            LedgerMessage::Part { whole: Whole::Piece, at, of, bytes } => {
                let parts = self.parts.entry((from, to)).or_default();
                if *at == 0 {
                    parts.clear();
                }
                parts.extend_from_slice(bytes);
                if at + 1 < *of { Vec::new() } else { vec![std::mem::take(parts).into()] }
            }
            _ => Vec::new(),
        };
        for bytes in pieces {
            let piece = Piece::read(&self.genesis.community(), &bytes).expect("an honest bot's piece");
            let statements = match &piece {
                Piece::Statement(statement) => vec![(**statement).clone()],
                Piece::Offer(offer) => vec![offer.seal.clone()],
                Piece::Evidence(evidence) => evidence.pair().to_vec(),
                Piece::Backing(backing) => backing.statements.clone(),
                Piece::Silence(_) | Piece::Lock(_) => Vec::new(),
            };
            self.said.extend(statements.into_iter().map(|statement| (statement.id(), statement)));
        }
    }

    /// Nothing that a bot ever said conflicts with anything else that it said.
    pub(crate) fn assert_honest(&self, at: usize) {
        let author = id(at);
        let own: Vec<&Statement> = self.said.values().filter(|statement| statement.author() == author).collect();
        for (first, one) in own.iter().enumerate() {
            for other in &own[first + 1..] {
                if let Some(evidence) = Evidence::of(one, other) {
                    panic!("{at}: {:?}: {one:?} and {other:?}", evidence.conflict());
                }
            }
        }
    }

    // ---- bots that lie ----

    /// The bot has no ledger any more and says what it likes; the others believe that it is linked with them.
    pub(crate) fn turn_traitor(&mut self, at: usize) {
        self.crash(at);
        self.traitors.insert(at, BTreeSet::new());
        for peer in 0..self.bots.len() {
            self.pretend(at, peer);
        }
    }

    fn pretend(&mut self, traitor: usize, peer: usize) {
        if traitor == peer || !self.is_up(peer) {
            return;
        }
        if self.traitors.get_mut(&traitor).is_some_and(|peers| peers.insert(peer)) {
            let now = self.clock(peer);
            self.ledger(peer).handle_link_up(now, Self::channel(traitor), id(traitor));
            // As if it stood where its peer stands, so that it is told everything.
            let here = LedgerMessage::Here { place: self.ledger(peer).place(), whole: [0; 16] };
            let _ = self.ledger(peer).handle_message(now, Self::channel(traitor), here);
            self.pump();
        }
    }

    /// A traitor says something to one bot.
    pub(crate) fn speak(&mut self, traitor: usize, to: usize, message: LedgerMessage) -> Result<(), Refusal> {
        let result = self.whisper(traitor, to, message);
        self.pump();
        result
    }

    /// The same, and nobody does anything yet.
    pub(crate) fn whisper(&mut self, traitor: usize, to: usize, message: LedgerMessage) -> Result<(), Refusal> {
        let now = self.clock(to);
        self.ledger(to).handle_message(now, Self::channel(traitor), message)
    }

    pub(crate) fn tell(&mut self, traitor: usize, to: usize, piece: &Piece) -> Result<(), Refusal> {
        self.speak(traitor, to, LedgerMessage::Pieces(vec![piece.to_bytes()]))
    }

    /// A statement under a bot's key, whatever it says.
    pub(crate) fn sign(&self, at: usize, place: Place, body: Body) -> Statement {
        let signer = self.crypto.signer(&seed(at));
        Statement::new(&self.genesis.community(), id(at), place, body, &*signer).expect("a statement")
    }

    pub(crate) fn said_by(&self, at: usize, place: Place, body: Body) -> Piece {
        Piece::Statement(Arc::new(self.sign(at, place, body)))
    }

    /// Before an offer arrives the racer gives the receiver a newer ballot than anybody has.
    fn race(&mut self, to: usize, message: &LedgerMessage) {
        /// The kind of an offer.
        const OFFER: u8 = 64;
        let LedgerMessage::Pieces(pieces) = message else { return };
        let is_offer = pieces.iter().any(|piece| piece.first() == Some(&OFFER));
        if let (Some((traitor, number)), true) = (self.racer, is_offer) {
            self.racer = Some((traitor, number + 1));
            let place = self.ledger(to).place();
            let body = Body::Ballot(Ballot { number: number + 1, answers: Vec::new() });
            let ballot = self.said_by(traitor, place, body).to_bytes();
            let now = self.clock(to);
            let _ = self.ledger(to).handle_message(now, Self::channel(traitor), LedgerMessage::Pieces(vec![ballot]));
        }
    }

    /// All bots that have a ledger.
    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.bots.len()).filter(|at| self.is_up(*at)).collect()
    }

    fn carry(&mut self, from: usize, to: usize, message: &LedgerMessage) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.frames += 1;
        self.bytes += bytes.len() as u64;
        self.longest = self.longest.max(bytes.len());
        if let LedgerMessage::Pieces(pieces) = message {
            self.pieces += pieces.len() as u64;
        }
        let again = LedgerMessage::decode(&bytes.freeze()).expect("its one encoding");
        assert_eq!(again, *message);
        if !self.is_up(to) {
            return;
        }
        self.race(to, message);
        let now = self.clock(to);
        if let Err(refusal) = self.ledger(to).handle_message(now, Self::channel(from), again) {
            *self.refused.entry(refusal.to_string()).or_default() += 1;
        }
    }

    /// Lets so many u pass, in steps of a quarter.
    pub(crate) fn pass(&mut self, units: u64) {
        for _ in 0..units * 4 {
            self.step();
        }
    }

    /// A quarter of a u passes.
    pub(crate) fn step(&mut self) {
        self.now += self.unit() / 4;
        for at in 0..self.bots.len() {
            let now = self.clock(at);
            if let Some(ledger) = &mut self.bots[at].ledger {
                ledger.handle_tick(now);
            }
        }
        self.pump();
    }

    /// Lets time pass until something holds, at most so many u.
    pub(crate) fn pass_until(&mut self, most: u64, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..most * 4 {
            if done(self) {
                return true;
            }
            self.step();
        }
        done(self)
    }

    pub(crate) fn height(&self, at: usize) -> Height {
        self.bots[at].ledger.as_ref().expect("it is up").place().height
    }

    pub(crate) fn heights(&self) -> Vec<u64> {
        (0..self.bots.len()).filter(|at| self.is_up(*at)).map(|at| self.height(at).0).collect()
    }

    /// Somebody says something to a bot by a link of its own.
    pub(crate) fn hand(&mut self, at: usize, message: &LedgerMessage) {
        let (now, channel) = (self.clock(at), Channel(u64::MAX));
        self.ledger(at).handle_link_up(now, channel, id(usize::MAX - 1));
        // What it says back is nobody's.
        let refused = self.ledger(at).handle_message(now, channel, message.clone()).err();
        self.ledger(at).handle_link_down(channel);
        refused.into_iter().for_each(|refusal| *self.refused.entry(refusal.to_string()).or_default() += 1);
    }

    pub(crate) fn stats(&self, at: usize) -> LedgerStats {
        self.bots[at].ledger.as_ref().expect("it is up").stats()
    }

    /// An application by a bot, there or not, for a sponsor.
    pub(crate) fn application(&self, who: usize, sponsor: usize) -> Application {
        let signer = self.crypto.signer(&seed(who));
        Application::new(
            &self.genesis.community(),
            id(who),
            id(sponsor),
            [who as u8; 16],
            Bytes::from_static(b"let me in"),
            &*signer,
        )
    }

    /// A member asks for a bot's admission.
    pub(crate) fn sponsor(&mut self, sponsor: usize, who: usize) -> StatementId {
        let application = self.application(who, sponsor);
        self.propose(sponsor, Ask::Admit(application))
    }

    pub(crate) fn propose(&mut self, sponsor: usize, ask: Ask) -> StatementId {
        let id = self.ledger(sponsor).propose(ask, Bytes::from_static(b"please")).expect("a member may ask");
        self.pump();
        id
    }

    pub(crate) fn vote(&mut self, at: usize, question: StatementId, answer: Answer) {
        self.ledger(at).vote(question, Some(answer)).expect("a member may vote");
        self.pump();
    }

    /// What became of a question, by a bot's events.
    pub(crate) fn outcome(&self, at: usize, question: StatementId) -> Option<Outcome> {
        self.bots[at].events.iter().find_map(|event| match event {
            LedgerEvent::Decided { proposal, outcome, .. } if *proposal == question => Some(*outcome),
            _ => None,
        })
    }

    pub(crate) fn members(&self, at: usize) -> Vec<BotId> {
        let ledger = self.bots[at].ledger.as_ref().expect("it is up");
        ledger.roster().members().iter().map(|member| member.key).collect()
    }

    /// No two bots ever have different headers of one height, whatever else is the case.
    pub(crate) fn assert_one_story(&self) {
        let mut story: BTreeMap<u64, Bytes> = BTreeMap::new();
        for bot in &self.bots {
            let Some(ledger) = &bot.ledger else { continue };
            assert!(ledger.fork().is_none(), "{:?}", ledger.fork());
            for height in 1..=ledger.place().height.0 {
                let bytes = ledger.certificate(Height(height)).expect("every height has one");
                let header = Certificate::from_bytes(bytes).expect("its one encoding").header.to_bytes();
                let known = story.entry(height).or_insert_with(|| header.clone().into());
                assert_eq!(*known, header, "two stories of height {height}");
            }
        }
    }
}
