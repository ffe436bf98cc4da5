//! Who is whose parent: drawn from the seed.

use sha2::{Digest, Sha256};

/// Children of one bot, at most.
const CHILDREN: usize = 8;

/// The shape of a community. Bot 0 is the root, the last one is client-only.
pub(crate) struct Tree {
    seed: u64,
    pub(crate) parents: Vec<Option<usize>>,
    /// Steps from the root.
    pub(crate) depths: Vec<usize>,
    /// Who reads the feed: never the root, so that posts travel up as well as down.
    pub(crate) author: usize,
}

impl Tree {
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let mut tree = Self { seed, parents: vec![None], depths: vec![0], author: 0 };
        let mut children = vec![0; count];
        for at in 1..count {
            let free: Vec<usize> = (0..at).filter(|parent| children[*parent] < CHILDREN).collect();
            let parent = free[tree.draw("parent", at) % free.len()];
            children[parent] += 1;
            tree.parents.push(Some(parent));
            tree.depths.push(tree.depths[parent] + 1);
        }
        tree.author = 1 + tree.draw("author", 0) % (count - 1);
        tree
    }

    /// The secret key of a bot: good for a demonstration, no secret at all.
    pub(crate) fn key(&self, at: usize) -> [u8; 32] {
        self.hash("key", at)
    }

    pub(crate) fn is_client_only(&self, at: usize) -> bool {
        at + 1 == self.parents.len()
    }

    pub(crate) fn role(&self, at: usize) -> String {
        let mut roles = Vec::new();
        if at == 0 {
            roles.push("root");
        }
        if at == self.author {
            roles.push("author");
        }
        if self.is_client_only(at) {
            roles.push("client-only");
        }
        roles.join(", ")
    }

    fn draw(&self, what: &str, at: usize) -> usize {
        let hash = self.hash(what, at);
        usize::from(u16::from_be_bytes([hash[0], hash[1]]))
    }

    fn hash(&self, what: &str, at: usize) -> [u8; 32] {
        Sha256::digest(format!("community example {} {what} {at}", self.seed)).into()
    }
}
