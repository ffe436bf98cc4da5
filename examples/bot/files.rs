//! Files: the key and the list of members, which people edit, and decisions to be verified.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use bytes::Bytes;
use interbot::crypto::Pure;
use interbot::ledger::{Certificate, Explanation, Genesis, Ledger, Proof};
use interbot::{BotId, Identity};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::common::random_seed;
use crate::{Refusal, words};

/// Draws a key and writes it to a new file that only its owner can read.
pub(crate) fn make_key(file: &Path) -> Result<BotId, Refusal> {
    let identity = Identity::from_seed(random_seed());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let shown = file.display();
            Refusal::Input(format!("{shown} is there already: name another file, or show its id with `bot id {shown}`"))
        }
        _ => Refusal::Input(format!("{} cannot be written: {error}", file.display())),
    })?;
    let text = Zeroizing::new(format!(
        "# SECRET: whoever holds this key is the bot. Never show it, and never copy it to a second bot.\n{}\n",
        identity.secret_text().as_str()
    ));
    let written = out.write_all(text.as_bytes()).and_then(|()| out.sync_all());
    written.map_err(|error| Refusal::System(format!("{} cannot be written: {error}", file.display())))?;
    eprintln!("{} holds the secret key: keep it to this bot.", file.display());
    eprintln!("The line below is the bot's id, for lists of members and for others to dial it.");
    Ok(identity.id())
}

/// Reads a key file; warns when others may read it too.
pub(crate) fn read_key(file: &Path) -> Result<Identity, Refusal> {
    let text = Zeroizing::new(read(file, "make one with `bot keygen FILE`")?);
    warn_of_readers(file);
    let mut keys = lines(&text);
    let Some((number, key)) = keys.next() else {
        return Err(Refusal::Input(format!("{} holds no key: make one with `bot keygen FILE`", file.display())));
    };
    if let Some((number, _)) = keys.next() {
        return Err(Refusal::Input(format!(
            "{}:{number}: a key file holds one key: give each its own",
            file.display()
        )));
    }
    Identity::from_secret_text(key).map_err(|error| Refusal::Input(format!("{}:{number}: {error}", file.display())))
}

/// Reads a list of members.
pub(crate) fn read_members(file: &Path) -> Result<Vec<BotId>, Refusal> {
    let text = read(file, "write one id a line, as `bot keygen` and `bot id` print them")?;
    let members: Result<Vec<BotId>, Refusal> = lines(&text)
        .map(|(number, line)| {
            line.parse().map_err(|error| Refusal::Input(format!("{}:{number}: {error}", file.display())))
        })
        .collect();
    match members {
        Ok(members) if members.is_empty() => {
            Err(Refusal::Input(format!("{} names no bot: write one id a line", file.display())))
        }
        members => members,
    }
}

/// Writes a decision down with everything that leads to it from the genesis, for anybody to verify.
pub(crate) fn write_decision(file: &Path, ledger: &Ledger, proof: &Proof) -> std::io::Result<()> {
    let heights = 1..proof.height().0;
    let certificates = heights.filter_map(|height| ledger.certificate(interbot::ledger::Height(height)));
    let text = json!({
        "community": words::community(ledger.community()),
        "genesis": words::hex(ledger.genesis()),
        "certificates": certificates.map(|bytes| words::hex(bytes)).collect::<Vec<_>>(),
        "proof": words::hex(&proof.to_bytes()),
    });
    std::fs::write(file, format!("{text:#}\n"))
}

/// Verifies such a file, and says what was decided, by whom and why.
pub(crate) fn verify(file: &Path, community: Option<&str>) -> Result<String, Refusal> {
    let text = read(file, "name a file that a bot wrote with `explain QUESTION FILE`")?;
    let shown = file.display();
    let wrong = |why: String| Refusal::Input(format!("{shown} proves nothing: {why}"));
    let (found, explanation) = read_decision(&text).map_err(wrong)?;
    if community.is_some_and(|expected| !expected.eq_ignore_ascii_case(&found)) {
        return Err(wrong(format!("it is of the community {found}")));
    }
    Ok(format!("community {found}\n{explanation}"))
}

fn read_decision(text: &str) -> Result<(String, Explanation), String> {
    let cut = || "it was cut off or changed, or is of another kind: write it again".to_string();
    let parts: Value = serde_json::from_str(text).map_err(|_| cut())?;
    let bytes = |part: &Value| part.as_str().and_then(words::unhex).map(Bytes::from).ok_or_else(cut);
    let genesis = Genesis::from_bytes(&bytes(&parts["genesis"])?, &Pure).map_err(|error| error.to_string())?;
    let certificates = parts["certificates"].as_array().ok_or_else(cut)?.iter();
    let certificates: Vec<Certificate> =
        certificates.map(|part| Certificate::from_bytes(&bytes(part)?).map_err(|_| cut())).collect::<Result<_, _>>()?;
    let community = genesis.community();
    let proof = Proof::from_bytes(&community, &bytes(&parts["proof"])?).map_err(|_| cut())?;
    let explanation = proof.verify_from_genesis(&genesis, &certificates, &Pure).map_err(|error| error.to_string())?;
    Ok((words::community(&community), explanation))
}

fn read(file: &Path, advice: &str) -> Result<String, Refusal> {
    let cannot = |error| Refusal::Input(format!("{} cannot be read: {error}; {advice}", file.display()));
    std::fs::read_to_string(file).map_err(cannot)
}

/// What is left of each line without comments and blanks, with the line's number. Some editors put a byte order mark first.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bare = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(|line| line.split_once('#').map_or(line, |(line, _)| line).trim());
    bare.enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty())
}

#[cfg(unix)]
fn warn_of_readers(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).map_or(0, |facts| facts.permissions().mode());
    if mode & 0o077 != 0 {
        let shown = file.display();
        eprintln!("warning: other users may read {shown}, mode {:03o}: run `chmod 600 {shown}`", mode & 0o777);
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_: &Path) {}
