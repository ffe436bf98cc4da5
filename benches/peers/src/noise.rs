//! A Noise XX handshake by snow, both sides in memory.

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState, Keypair, TransportState};

/// Mutual authentication with fresh keys and hidden identities: the pattern nearest to our link.
const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// Two parties with their static keys.
pub(crate) struct Noise {
    params: NoiseParams,
    keys: [Keypair; 2],
}

impl Noise {
    pub(crate) fn new() -> Self {
        let params: NoiseParams = PATTERN.parse().expect("a pattern that snow knows");
        let keys = || Builder::new(params.clone()).generate_keypair().expect("the system has random bytes");
        Self { keys: [keys(), keys()], params }
    }

    /// One handshake, three messages, until both sides can send data.
    pub(crate) fn handshake(&self) -> [TransportState; 2] {
        let builder = |side: usize| {
            let builder = Builder::new(self.params.clone());
            builder.local_private_key(&self.keys[side].private).expect("a key of 32 bytes")
        };
        let mut initiator = builder(0).build_initiator().expect("all keys are set");
        let mut responder = builder(1).build_responder().expect("all keys are set");
        pass(&mut initiator, &mut responder);
        pass(&mut responder, &mut initiator);
        pass(&mut initiator, &mut responder);
        [initiator, responder].map(|side| side.into_transport_mode().expect("three messages finish the pattern"))
    }
}

fn pass(from: &mut HandshakeState, to: &mut HandshakeState) {
    let (mut message, mut payload) = ([0; 256], [0; 256]);
    let len = from.write_message(&[], &mut message).expect("its turn to write");
    to.read_message(&message[..len], &mut payload).expect("an honest message");
}
