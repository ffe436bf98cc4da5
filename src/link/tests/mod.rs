//! The link against itself and against altered bytes; the hostile peers that need keys of their own are here too.

mod handshakes;
mod open_links;
mod refusals;

use alloc::vec::Vec;

use super::*;
use crate::crypto::Pure;
use crate::identity::{BotId, CommunityId, Identity};

const T0: Instant = Instant::ZERO;

fn setup_in(seed: u8, community: &str, aes: bool) -> Arc<Setup> {
    let community = CommunityId::from_name(community);
    Arc::new(
        Setup::new(Arc::new(Pure), &Identity::from_seed([seed; 32]), community, aes, Facts::default())
            .expect("no credentials"),
    )
}

fn setup(seed: u8) -> Arc<Setup> {
    setup_in(seed, "test", true)
}

fn client_of(setup: Arc<Setup>, expect: Expect) -> Link {
    Link::dial(setup, T0, [3; 32], Binding::None, Kind::Member, expect, &mut Strings::default(), Times::default())
}

fn server_of(setup: Arc<Setup>) -> Link {
    Link::accept(setup, T0, [4; 32], Binding::None, Times::default())
}

fn ends() -> (Link, Link) {
    (client_of(setup(1), Expect::Key(setup(2).id())), server_of(setup(2)))
}

/// Steps until nothing more is to be told, saying yes to everything.
fn feed(link: &mut Link, now: Instant, bytes: &[u8]) -> Vec<Step> {
    let (mut input, mut steps) = (bytes, Vec::new());
    loop {
        let step = link.step(now, &mut input);
        match step {
            Step::NeedMore => return steps,
            Step::Hello => {
                if let Err(fault) = link.answer() {
                    steps.push(Step::Closed(fault.into()));
                    return steps;
                }
            }
            Step::Proved => link.admit(now),
            _ => {}
        }
        steps.push(step);
    }
}

/// Runs a handshake up to ACK and the string, which are not delivered yet.
fn third_flight(client: &mut Link, server: &mut Link) -> Bytes {
    let one = client.take_output();
    feed(server, T0, &one);
    let two = server.take_output();
    feed(client, T0, &two);
    client.take_output()
}

fn open_pair() -> (Link, Link) {
    let (mut client, mut server) = ends();
    for _ in 0..2 {
        let bytes = client.take_output();
        feed(&mut server, T0, &bytes);
        let bytes = server.take_output();
        feed(&mut client, T0, &bytes);
    }
    assert!(client.is_open() && server.is_open(), "{client:?} {server:?}");
    (client, server)
}

/// Delivers in both directions until both are quiet; what each was told.
fn settle(a: &mut Link, b: &mut Link, now: Instant) -> (Vec<Step>, Vec<Step>) {
    let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
    while a.output_len() + b.output_len() > 0 {
        let bytes = a.take_output();
        to_b.extend(feed(b, now, &bytes));
        let bytes = b.take_output();
        to_a.extend(feed(a, now, &bytes));
    }
    (to_a, to_b)
}

/// Both ends when flight `which` (0 CONNECT … 3 OK, 4 a message of the client's) is about to be delivered, and its bytes.
fn before_flight(which: usize) -> (Link, Link, Bytes) {
    let (mut client, mut server) = ends();
    let mut flight = client.take_output();
    for number in 0..which {
        let (to, from) = if number % 2 == 0 { (&mut server, &mut client) } else { (&mut client, &mut server) };
        feed(to, T0, &flight);
        if number == 3 {
            assert!(from.is_open() && to.is_open() && to.send(T0, b"a message"));
        }
        flight = to.take_output();
    }
    (client, server, flight)
}
