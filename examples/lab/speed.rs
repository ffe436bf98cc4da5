//! What a simulated bot costs.

use std::time::Duration;

use interbot::CommunityId;
use interbot::lab::{BotRef, Latency, Line, Network, ToyCrypto};
use interbot::node::Config;
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A tree of idle bots in which nothing was said yet.
fn tree(bots: usize) -> Network {
    let mut net = Network::new(1);
    net.run_fast();
    net.keep_no_events();
    net.set_crypto(ToyCrypto);
    net.set_line(Line { latency: Latency::Between { min_ms: 10, max_ms: 100 }, ..Line::default() });
    let ids = (0..bots).map(|at| Network::identity_of(at).id());
    let config = Config::new(CommunityId::from_name("lab"), ids);
    for at in 0..bots {
        net.add(config.clone());
        if at > 0 {
            net.dial(BotRef::at(at), BotRef::at((at - 1) / 4));
        }
    }
    net.run_for(Duration::from_secs(60));
    net
}

pub(crate) fn speed(bots: usize, posts: u32) -> Outcome {
    let mut net = None;
    let memory = allocation_counter::measure(|| net = Some(tree(bots)));
    let mut net = net.ok_or("no network")?;
    let idle = cpu();
    net.run_for(Duration::from_secs(60));
    let idle = cpu() - idle;
    let busy = cpu();
    let mut random = 1u64;
    for n in 0..posts {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bot = BotRef::at(usize::try_from((random >> 33) % bots as u64)?);
        net.publish(bot, &[u8::try_from(n % 256)?; 200])?;
        net.run_for(Duration::from_secs(4));
    }
    let busy = cpu() - busy;
    let delivered: u64 = net.bots().map(|bot| net.node(bot).stats().posts).sum();
    let expected = u64::from(posts) * (bots as u64 - 1);
    say!(
        "{bots} bots in a tree of four, {posts} posts of 200 bytes, 10 to 100 ms, one every 4 s, toy crypto, one thread"
    );
    say!("delivered {delivered} of {expected}");
    say!("figure sim_cpu_us_per_copy {:.2}", busy.as_secs_f64() * 1e6 / delivered as f64);
    say!("figure sim_idle_cpu_us_per_node_minute {:.1}", idle.as_secs_f64() * 1e6 / bots as f64);
    say!("figure sim_bytes_per_idle_node {}", memory.bytes_current / i64::try_from(bots)?);
    Ok(delivered == expected)
}
