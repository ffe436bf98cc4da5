//! Ours: whole nodes in a tree of four, with their links and keepalives, in the laboratory's network.

use std::time::Duration;

use interbot::CommunityId;
use interbot::lab::{BotRef, Line, Network, ToyCrypto};
use interbot::node::Config;

use super::{NODES, Overlay, PAYLOAD_BYTES, WAIT_MS, latency_ms};

pub(super) struct Tree {
    net: Network,
    delivered: u64,
}

impl Tree {
    pub(super) fn new(seed: u64) -> Self {
        let mut net = Network::new(seed);
        net.run_fast();
        net.keep_no_events();
        net.set_crypto(ToyCrypto);
        let ids = (0..NODES).map(|at| Network::identity_of(at).id());
        let config = Config::new(CommunityId::from_name("gossip"), ids);
        for at in 0..NODES {
            net.add(config.clone());
            if at == 0 {
                continue;
            }
            let (bot, parent) = (BotRef::at(at), BotRef::at((at - 1) / 4));
            let line = Line::fixed(Duration::from_millis(latency_ms(bot.place(), parent.place())));
            net.set_line_between(bot, parent, line);
            net.set_line_between(parent, bot, line);
            net.dial(bot, parent);
        }
        net.run_for(Duration::from_secs(60));
        Self { net, delivered: 0 }
    }
}

impl Overlay for Tree {
    fn broadcast(&mut self, from: usize, _: u64) -> usize {
        self.net.publish(BotRef::at(from), &[7; PAYLOAD_BYTES]).expect("nothing is busy");
        self.net.run_for(Duration::from_millis(WAIT_MS));
        let delivered: u64 = self.net.bots().map(|bot| self.net.node(bot).stats().posts).sum();
        usize::try_from(delivered - std::mem::replace(&mut self.delivered, delivered)).expect("a count")
    }
}
