//! What an applicant and the member that it asked say to each other besides the ledger's own messages.

use bytes::{Bytes, BytesMut};

use super::ids::StatementId;
use super::statement::Application;
use super::tokens::Token;
use crate::wire::{CborError, CborReader, CborWriter};

/// A message on an applicant's link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinMessage {
    /// From the applicant: asks the member to ask the others.
    Apply {
        /// Made for this member.
        application: Application,
        /// Of the invitation, if there is one.
        token: Option<Token>,
    },
    /// From the member: how the application stands. Said after each Apply, and whenever it changes.
    Receipt(Receipt),
}

/// How an application stands at the member that it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// The member's owner has to decide whether to ask the others.
    Waiting,
    /// The others are asked.
    Asked(StatementId),
    /// The applicant has a guest's rights: a link of a member's kind is open to it.
    Guest(StatementId),
    /// The member's owner does not ask for it.
    Declined,
    /// The member cannot ask now and will, at a later height; or too many wait: apply again later.
    Later,
    /// The invitation is used, over, or not of this member; without one the owner may be asked.
    NotInvited,
}

const APPLY: u64 = 23;
const RECEIPT: u64 = 24;
const WAITING: u64 = 0;
const ASKED: u64 = 1;
const GUEST: u64 = 2;
const DECLINED: u64 = 3;
const LATER: u64 = 4;
const NOT_INVITED: u64 = 5;

impl JoinMessage {
    /// Whether a message is one of these, by its first bytes.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        let mut r = CborReader::new(bytes);
        r.array().is_ok() && r.uint().is_ok_and(|kind| (APPLY..=RECEIPT).contains(&kind))
    }

    /// Reads a message in its one encoding.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &Bytes) -> Result<Self, CborError> {
        let mut r = CborReader::new(bytes);
        let (items, kind) = (r.array()?, r.uint()?);
        if items != 3 {
            return Err(CborError::Range);
        }
        let message = match kind {
            APPLY => {
                let application = Application::from_bytes(r.bytes()?).map_err(|_| CborError::Range)?;
                let token = match r.bytes()? {
                    [] => None,
                    bytes => Some(Token::from_bytes(bytes.try_into().map_err(|_| CborError::Range)?)),
                };
                Self::Apply { application, token }
            }
            RECEIPT => {
                let (state, question) = (r.uint()?, r.bytes()?);
                let question = match question {
                    [] => None,
                    bytes => Some(StatementId(bytes.try_into().map_err(|_| CborError::Range)?)),
                };
                Self::Receipt(match (state, question) {
                    (WAITING, None) => Receipt::Waiting,
                    (ASKED, Some(question)) => Receipt::Asked(question),
                    (GUEST, Some(question)) => Receipt::Guest(question),
                    (DECLINED, None) => Receipt::Declined,
                    (LATER, None) => Receipt::Later,
                    (NOT_INVITED, None) => Receipt::NotInvited,
                    _ => return Err(CborError::Range),
                })
            }
            _ => return Err(CborError::Range),
        };
        r.end()?;
        Ok(message)
    }

    /// Writes the message at the end of `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut w = CborWriter(out);
        match self {
            Self::Apply { application, token } => {
                let token = token.as_ref().map_or(&[][..], |token| &token.as_bytes()[..]);
                w.array(3).uint(APPLY).bytes(&application.to_bytes()).bytes(token);
            }
            Self::Receipt(receipt) => {
                let (state, question) = match receipt {
                    Receipt::Waiting => (WAITING, None),
                    Receipt::Asked(question) => (ASKED, Some(question)),
                    Receipt::Guest(question) => (GUEST, Some(question)),
                    Receipt::Declined => (DECLINED, None),
                    Receipt::Later => (LATER, None),
                    Receipt::NotInvited => (NOT_INVITED, None),
                };
                w.array(3).uint(RECEIPT).uint(state).bytes(question.map_or(&[][..], |question| &question.0[..]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Crypto, Pure};
    use crate::identity::{CommunityId, Identity};

    #[test]
    fn messages_have_one_encoding() {
        let [ann, bob] = [1, 2].map(|seed| Identity::from_seed([seed; 32]));
        let community = CommunityId::from_name("test");
        let words = Bytes::from_static(b"let me in");
        let application = Application::new(&community, ann.id(), bob.id(), [3; 16], words, &*Pure.signer(ann.seed()));
        let question = StatementId([4; 32]);
        let messages = [
            JoinMessage::Apply { application: application.clone(), token: None },
            JoinMessage::Apply { application, token: Some(Token::from_bytes([5; 16])) },
            JoinMessage::Receipt(Receipt::Waiting),
            JoinMessage::Receipt(Receipt::Asked(question)),
            JoinMessage::Receipt(Receipt::Guest(question)),
            JoinMessage::Receipt(Receipt::Declined),
            JoinMessage::Receipt(Receipt::Later),
            JoinMessage::Receipt(Receipt::NotInvited),
        ];
        for message in messages {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            let bytes = out.freeze();
            assert!(JoinMessage::is_one(&bytes));
            assert_eq!(JoinMessage::decode(&bytes), Ok(message));
            assert!((0..bytes.len()).all(|cut| JoinMessage::decode(&bytes.slice(..cut)).is_err()));
            assert!(JoinMessage::decode(&[&bytes[..], &[0]].concat().into()).is_err());
        }
    }

    #[test]
    fn a_receipt_without_its_question_or_with_one_too_many_is_refused() {
        for (state, question) in [(ASKED, &[][..]), (GUEST, &[1; 31]), (WAITING, &[1; 32]), (6, &[])] {
            let mut out = BytesMut::new();
            CborWriter(&mut out).array(3).uint(RECEIPT).uint(state).bytes(question);
            assert_eq!(JoinMessage::decode(&out.freeze()), Err(CborError::Range), "state {state}");
        }
    }
}
