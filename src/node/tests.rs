//! What only shows when chance repeats itself: a tape answers in its place.

use alloc::vec::Vec;

use super::*;
use crate::identity::CommunityId;
use crate::tape::{Answer, Blob, Recorder};

#[test]
fn l24_a_string_that_was_sent_to_one_server_is_drawn_again_for_another() {
    let identity = |seed| Identity::from_seed([seed; 32]);
    let members = [1, 2, 3].map(|seed| identity(seed).id());
    let player = Recorder::player();
    let mut config = Config::new(CommunityId::from_name("test"), members);
    config.recorder = Some(player.clone());
    let mut node = Node::new(config, &identity(1), [9; 32], Instant::ZERO);
    let asked: Vec<String> = members[1..]
        .iter()
        .map(|peer| {
            node.dial(Instant::ZERO, *peer, "somewhere").expect("a member");
            let link = node.links().last().expect("a dial").link;
            player.tape().load((0..32).map(|byte| Answer::Draw { bytes: Blob([byte].into()) }).collect());
            node.handle_dialled(Instant::ZERO, link, Binding::None);
            player.tape().wrong().expect("more is asked for than the 32 characters").asked
        })
        .collect();
    assert_eq!(asked, ["an ephemeral key", "a draw of 1 bytes"]);
}
