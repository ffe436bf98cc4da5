//! Plain data from JSON, with errors for people.

/// What serde calls a type, and what may stand in a file.
const WORDS: [(&str, &str); 9] = [
    ("usize", "a whole number, 0 or more"),
    ("u64", "a whole number, 0 or more"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("i64", "a whole number"),
    ("i32", "a whole number from -2147483648 to 2147483647"),
    ("a boolean", "true or false"),
    ("a sequence", "a list in [ ]"),
    ("value", "a name in quotes, or an object in { }"),
    ("struct", "an object in { }"),
];

/// Reads plain data; an error names the key and what it takes.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    // What is no JSON at all has no types.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| error.to_string())?;
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().to_string().as_str() {
        "." => in_words(&error.inner().to_string()),
        key => format!("`{key}`: {}", in_words(&error.inner().to_string())),
    })
}

fn in_words(error: &str) -> String {
    let said = error.rsplit_once("expected ").and_then(|(before, rest)| {
        let (expected, place) = rest.split_once(" at line ")?;
        let (_, words) =
            WORDS.iter().find(|(name, _)| expected == *name || expected.split(' ').next() == Some(name))?;
        Some(format!("{before}expected {words} at line {place}"))
    });
    said.unwrap_or_else(|| error.into())
}
