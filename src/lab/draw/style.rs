//! Colours for light and dark, and the look that all pictures share.
//!
//! Plain colours first and the dark ones in a media query, not variables, so that tools for print that know neither still
//! draw the light picture.

use alloc::format;
use alloc::string::String;

/// Selector, property, light, dark.
pub(super) type Colour = (&'static str, &'static str, &'static str, &'static str);

/// Wide on every system as in [`text::width`](super::text::width).
const FONT: &str = "Helvetica,Arial,\"Liberation Sans\",\"DejaVu Sans\",sans-serif";

pub(super) const SHARED: [Colour; 10] = [
    ("text", "fill", "#1c2127", "#e4e8ec"),
    (".dim", "fill", "#5c6570", "#a3adb8"),
    (".paper", "fill", "#ffffff", "#15181c"),
    (".grid", "stroke", "#e3e6ea", "#2b3138"),
    (".axis", "stroke", "#8b949e", "#6b7580"),
    (".bad", "stroke", "#c0271d", "#ff7b72"),
    (".badtext", "fill", "#b3231a", "#ff8f87"),
    (".shade", "fill", "#d5d9de", "#3c434b"),
    (".shade", "stroke", "#8b949e", "#7d8792"),
    (".line", "stroke", "#1f5fa8", "#6cb0f5"),
];

/// Rules for everything inside of `scope`.
pub(super) fn css(scope: &str, tables: &[&[Colour]]) -> String {
    let rules = |dark: bool| {
        let mut out = String::new();
        for (selector, property, light_value, dark_value) in tables.iter().flat_map(|table| table.iter()) {
            let value = if dark { dark_value } else { light_value };
            out += &format!("{scope} {selector}{{{property}:{value}}}\n");
        }
        out
    };
    format!(
        "{scope} text{{font-family:{FONT}}}\n{}@media (prefers-color-scheme:dark){{\n{}}}\n",
        rules(false),
        rules(true)
    )
}
