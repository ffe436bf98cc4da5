//! A town in which anything happens.
