use crate::Outcome;
pub(crate) fn replay(_: &std::path::Path) -> Outcome { Ok(true) }
