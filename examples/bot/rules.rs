//! A community's rules, field by field, as owners read and change them.

use interbot::ledger::{EvictCap, Faults, Floor, Rules};

use crate::words;

/// Every rule that a vote can change, with its value.
pub(crate) fn fields(rules: &Rules) -> [(&'static str, String); 12] {
    let times = |times: Option<u8>| times.map_or("never".to_string(), |times| times.to_string());
    [
        ("window", short_span(rules.vote_window_ms)),
        ("faults", if rules.faults == Faults::Third { "third" } else { "nobody" }.to_string()),
        (
            "floor",
            match rules.floor {
                Floor::Respondents(least) => least.to_string(),
                _ => "quorum".to_string(),
            },
        ),
        ("dormant_after", times(rules.dormant_after)),
        ("evict_after", times(rules.evict_after)),
        ("evict_cap", if rules.evict_cap == EvictCap::Quarter { "quarter" } else { "unlimited" }.to_string()),
        ("min_active", rules.min_active.to_string()),
        ("endorse_percent", rules.endorse_percent.to_string()),
        ("endorse_members", rules.endorse_members.to_string()),
        ("observers", rules.observers.to_string()),
        ("witnesses", rules.witnesses.to_string()),
        ("stale_after", rules.stale_after.to_string()),
    ]
}

/// As it is typed: in the largest unit that leaves no rest.
fn short_span(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let whole = units.into_iter().find(|(unit, _)| millis.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{millis} ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

/// Changes one rule by `FIELD=VALUE`.
pub(crate) fn set(rules: &mut Rules, change: &str) -> Result<(), String> {
    let (field, value) =
        change.split_once('=').ok_or_else(|| format!("`{change}` changes nothing: write FIELD=VALUE"))?;
    let one_of = |allowed: &str| format!("{field} cannot be `{value}`: write {allowed}");
    fn number<N: std::str::FromStr>(value: &str, wrong: String) -> Result<N, String> {
        value.parse().map_err(|_| wrong)
    }
    let times = |wrong| if value == "never" { Ok(None) } else { number(value, wrong).map(Some) };
    match field {
        "window" => *rules = rules.clone().with_vote_window(words::read_span(value)?),
        "faults" => {
            rules.faults = match value {
                "third" => Faults::Third,
                "nobody" => Faults::Nobody,
                _ => return Err(one_of("third or nobody")),
            }
        }
        "floor" => {
            rules.floor = match value {
                "quorum" => Floor::Quorum,
                least => Floor::Respondents(number(least, one_of("quorum or a number"))?),
            }
        }
        "dormant_after" => rules.dormant_after = times(one_of("never, or 1 to 255"))?,
        "evict_after" => rules.evict_after = times(one_of("never, or 1 to 255"))?,
        "evict_cap" => {
            rules.evict_cap = match value {
                "quarter" => EvictCap::Quarter,
                "unlimited" => EvictCap::Unlimited,
                _ => return Err(one_of("quarter or unlimited")),
            }
        }
        "min_active" => rules.min_active = number(value, one_of("a number"))?,
        "endorse_percent" => rules.endorse_percent = number(value, one_of("1 to 100"))?,
        "endorse_members" => rules.endorse_members = number(value, one_of("a number"))?,
        "observers" => rules.observers = number(value, one_of("1 to 64"))?,
        "witnesses" => rules.witnesses = number(value, one_of("1 to 255"))?,
        "stale_after" => rules.stale_after = number(value, one_of("0 to 255"))?,
        _ => {
            let names = fields(rules).map(|(name, _)| name).join(", ");
            return Err(format!("there is no rule `{field}`; there are: {names}"));
        }
    }
    Ok(())
}

/// What other rules change, such as `window 7d -> 10m`.
pub(crate) fn changes(from: &Rules, to: &Rules) -> Vec<String> {
    let pairs = fields(from).into_iter().zip(fields(to));
    pairs.filter(|(old, new)| old != new).map(|((name, old), (_, new))| format!("{name} {old} -> {new}")).collect()
}
