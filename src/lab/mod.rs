//! A laboratory: whole nodes in virtual time, with everything that goes wrong in a network.
//!
//! Everything is drawn from one seed, so a run repeats byte for byte; [`Network::transcript`] proves it.
//!
//! ```
//! use std::time::Duration;
//! use interbot::lab::Network;
//!
//! let mut net = Network::new(1);
//! let bots = net.add_members("example", 3);
//! net.dial(bots[1], bots[0]);
//! net.dial(bots[2], bots[0]);
//! net.run_for(Duration::from_secs(1));
//! net.publish(bots[1], b"hello").expect("nothing is busy");
//! net.run_for(Duration::from_secs(1));
//! assert_eq!(net.posts(bots[2]).len(), 1);
//! assert_eq!(&net.posts(bots[2])[0].body()[..], b"hello");
//! ```

mod checks;
mod clock;
mod datagrams;
pub mod draw;
mod host;
mod line;
mod log;
mod network;
mod puppet;
#[cfg(feature = "trace")]
mod recordings;
#[cfg(feature = "trace")]
#[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
pub mod replay;
mod run;
mod scenario;
mod schedule;
mod story;
mod stream;
mod toy;
#[cfg(feature = "trace")]
mod traced;
mod world;

pub use checks::{Check, Failure};
pub use datagrams::{Datagram, Datagrams, Weather};
pub use host::{FaultPoint, Restart};
pub use line::{Latency, Line};
pub use network::{BotRef, Network};
pub use puppet::{Lie, Puppet};
pub use scenario::{Liar, Posts, Scenario, ScenarioError, Shape};
pub use schedule::{Act, Faults, Schedule, Step};
pub use toy::ToyCrypto;
pub use world::{Figures, Run};
