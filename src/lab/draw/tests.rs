//! What can be said of a picture without looking at it. `INTERBOT_WRITE_GOLDEN=1` writes the golden files anew.

use std::time::Duration;

use proptest::prelude::*;

use super::layout::{Area, Layout};
use super::pen::lay_out;
use super::scene::{Item, MOST_FRAMES, Scene};
use super::*;

const END: Instant = Instant::from_nanos(u64::MAX);
const EVIL: &str = "<script>alert(\"1\")</script> & 'x'; #35; %%{init: {}}%% style: x:y#z; end\n[a] (b) {c} -->> B0: \u{202e}\u{0}\u{b}";

fn ms(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn frame(at: Instant, lane: usize, to: usize, label: &str, fate: Fate) -> Happening {
    Happening { at, lane, what: What::Frame { to, label: label.into(), bytes: 24, fate, retransmit: false } }
}

fn arrives(at: u64, lane: usize, to: usize, label: &str) -> Happening {
    frame(ms(at), lane, to, label, Fate::Arrived(ms(at + 10)))
}

fn note(at: u64, lane: usize, text: &str, mood: Mood) -> Happening {
    Happening { at: ms(at), lane, what: What::Note { text: text.into(), mood } }
}

fn turn(at: u64, lane: usize, what: What) -> Happening {
    Happening { at: ms(at), lane, what }
}

fn story(lanes: &[&str], events: Vec<Happening>) -> Story {
    Story { title: "A story".into(), lanes: lanes.iter().map(|name| (*name).into()).collect(), events }
}

/// A bit of everything.
fn small() -> Story {
    let mut again = frame(ms(70), 1, 2, "RECORD", Fate::Arrived(ms(80)));
    if let What::Frame { retransmit, .. } = &mut again.what {
        *retransmit = true;
    }
    let mut events = vec![
        arrives(0, 0, 1, "CONNECT"),
        note(10, 1, "tag is good", Mood::Good),
        arrives(10, 1, 0, "CONNECT+ACK"),
        arrives(30, 1, 0, "RECORD"),
        arrives(30, 1, 2, "RECORD"),
        frame(ms(45), 1, 2, "RECORD", Fate::Lost),
        again,
        turn(90, 0, What::Down),
        note(90, 0, "crash; its disk was slow", Mood::Bad),
        turn(30_000, 0, What::Up),
    ];
    for round in 0..12 {
        events.push(arrives(60_000 + 20_000 * round, 1, 2, "RECORD"));
        events.push(arrives(60_300 + 20_000 * round, 2, 1, "RECORD"));
    }
    events.push(note(400_000, 2, "the end", Mood::Plain));
    events.push(frame(ms(400_000), 0, 2, "RECORD", Fate::UnderWay));
    story(&["ann", "bob", "cid"], events)
}

/// Checks that tags are balanced and that text has no bare `<`, `>` or `&`; good enough for what is drawn here.
fn assert_well_formed(markup: &str) {
    let mut open: Vec<&str> = Vec::new();
    // CSS is not markup.
    let mut markup = markup.to_owned();
    while let (Some(from), Some(to)) = (markup.find("<style>"), markup.find("</style>")) {
        markup.replace_range(from..to + "</style>".len(), "");
    }
    let mut rest = markup.strip_prefix("<!DOCTYPE html>").unwrap_or(&markup);
    while let Some(start) = rest.find('<') {
        assert_text(&rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains("inf"), "<{tag}>");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert_text(rest);
    assert!(open.is_empty(), "{open:?}");
    let forbidden = |c: char| c.is_control() && c != '\n';
    assert!(!markup.contains(forbidden) && !markup.contains('\u{202e}'));
    assert!(!markup.contains("NaN") && !markup.contains("<script"));
}

fn assert_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for (place, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(known.iter().any(|entity| text[place..].starts_with(entity)), "{text}");
    }
}

fn golden(name: &str, drawn: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/draw").join(name);
    if std::env::var_os("INTERBOT_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(kept == drawn, "{} differs: look at it, then write it anew", path.display());
}

fn laid_out<T>(story: &Story, look: impl FnOnce(&Scene<'_>, &Layout) -> T) -> T {
    let scene = Scene::new(story);
    look(&scene, &lay_out(&scene, story.lanes.len()))
}

#[test]
fn a_small_story_is_drawn_as_it_was() {
    golden("small.mmd", &small().mermaid());
    golden("small.html", &small().html());
}

#[test]
fn data_is_escaped_in_every_picture() {
    let mut evil = story(&[EVIL, "end", ""], vec![arrives(0, 0, 1, EVIL), note(9, 1, EVIL, Mood::Bad)]);
    evil.events.extend([turn(10, 0, What::Down), note(11, 2, "", Mood::Plain), arrives(12, 2, 0, "")]);
    evil.title = EVIL.into();
    let html = evil.html();
    assert_well_formed(&html);
    assert!(html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;"));
    let links = [LinkSpan { a: 0, b: 1, from: ms(0), to: Some(ms(1)), end: EVIL.into() }];
    assert_well_formed(&link_map(EVIL, &evil.lanes, &links, &[Outage { lane: 0, from: ms(0), to: None }], ms(5)));
    assert_well_formed(&convergence(EVIL, &[Series { name: EVIL.into(), points: vec![(ms(1), 0.5)] }]));
    let mermaid = evil.mermaid();
    assert!(
        mermaid.contains("title #60;script#62;alert#40;#34;1#34;#41;#60;/script#62; #38; #39;x#39;#59; #35;35#59;")
    );
    for line in mermaid.lines() {
        let known = ["sequenceDiagram", "    title ", "    participant B", "    Note over B", "    B"];
        assert!(known.iter().any(|start| line.starts_with(start)), "{line}");
        // A colon ends the head of a line, and nothing in a text may look like one; nor like a comment or a directive.
        let entities = line.matches('#').count();
        assert!(line.matches(':').count() <= 1 && line.matches(';').count() == entities, "{line}");
        assert!(!line.contains(['%', '{', '}', '\u{0}']), "{line}");
    }
}

#[test]
fn nothing_makes_a_sensible_picture() {
    for lanes in [&[][..], &["ann"], &["ann", "bob"]] {
        let html = story(lanes, vec![]).html();
        assert_well_formed(&html);
        assert!(html.contains("nothing happened"));
        assert!(story(lanes, vec![]).mermaid().contains("Note over B0"));
    }
    for plot in [convergence("", &[]), convergence("x", &[Series::default()])] {
        assert_well_formed(&plot);
        assert!(plot.contains("nothing to show"));
    }
    let map = link_map("", &[], &[], &[], Instant::ZERO);
    assert_well_formed(&map);
    assert!(map.contains("no links"));
}

#[test]
fn the_ends_of_time_are_drawn() {
    for instants in [[Instant::ZERO; 3], [END; 3], [ms(5); 3], [Instant::ZERO, ms(1), END]] {
        let [first, next, last] = instants;
        let mut events =
            vec![frame(first, 0, 1, "a", Fate::Arrived(next)), frame(next, 1, 0, "b", Fate::Arrived(first))];
        events.push(frame(last, 0, 0, "c", Fate::Arrived(last)));
        events.push(Happening { at: last, lane: 0, what: What::Up });
        let story = story(&["ann", "bob"], events);
        assert_well_formed(&story.html());
        assert!(story.mermaid().starts_with("sequenceDiagram"));
        let series = Series { name: "s".into(), points: vec![(last, f64::NAN), (first, 0.2), (next, f64::INFINITY)] };
        assert_well_formed(&convergence("", &[series]));
        let link = LinkSpan { a: 0, b: 1, from: last, to: Some(first), end: "?".into() };
        assert_well_formed(&link_map(
            "",
            &story.lanes,
            &[link],
            &[Outage { lane: 1, from: last, to: Some(next) }],
            next,
        ));
    }
}

fn any_story() -> impl Strategy<Value = Story> {
    let fate = |at: u64| {
        prop_oneof![
            4 => (0..40_u64).prop_map(move |later| Fate::Arrived(ms(at + later))),
            1 => Just(Fate::Lost),
            1 => Just(Fate::UnderWay),
        ]
    };
    let lanes = prop_oneof![Just(1_usize), Just(2), Just(3), Just(12), Just(50)];
    lanes.prop_flat_map(move |lanes| {
        let what = move |at: u64| {
            prop_oneof![
                8 => (0..lanes + 1, "[A-Z+ ]{0,24}", 0..9_999_999_usize, fate(at), any::<bool>())
                    .prop_map(|(to, label, bytes, fate, retransmit)| What::Frame { to, label, bytes, fate, retransmit }),
                2 => "[a-z é]{0,90}".prop_map(|text| What::Note { text, mood: Mood::Plain }),
                1 => Just(What::Down),
                1 => Just(What::Up),
            ]
        };
        let time = prop_oneof![8 => 0..60_u64, 1 => Just(100_000_u64)];
        let event = time.prop_flat_map(move |at| {
            (0..lanes, what(at)).prop_map(move |(lane, what)| Happening { at: ms(at), lane, what })
        });
        prop::collection::vec(event, 0..120).prop_map(move |events| {
            let lanes = (0..lanes).map(|lane| format!("bot {lane} with a long name")).collect();
            Story { title: String::new(), lanes, events }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn labels_never_overlap_and_time_goes_down(story in any_story()) {
        assert_well_formed(&story.html());
        prop_assert_eq!(story.html(), story.clone().html());
        laid_out(&story, |_, layout| {
            let labels = layout.labels.iter().map(|label| label.area);
            let texts: Vec<Area> = labels.chain(layout.notes.iter().map(|note| note.area)).collect();
            for (place, text) in texts.iter().enumerate() {
                assert!(text.left >= 0.0 && text.right <= layout.page.width && text.bottom <= layout.height);
                assert!(texts[..place].iter().all(|other| !other.meets(text)), "{text:?}");
            }
            assert!(layout.ticks.windows(2).all(|two| two[0].y < two[1].y && two[0].at <= two[1].at));
            assert!(layout.arrows.iter().all(|arrow| arrow.from.1 <= arrow.to.1));
            assert!(layout.folds.iter().all(|fold| texts.iter().all(|text| {
                fold.run || text.bottom <= fold.top || text.top >= fold.bottom
            })));
        });
    }
}

#[test]
fn keepalives_in_quiet_time_are_folded_and_counted() {
    let html = small().html();
    assert_eq!(html.matches("RECORD, 24 B × 12</text>").count(), 2);
    assert!(html.contains("12 times RECORD, 24 bytes each\nbob → cid\nbetween 60 s and 280.3 s"));
    assert!(small().mermaid().contains("B1->>B2: RECORD, 24 B × 12\n    B2->>B1: RECORD, 24 B × 12\n"));
    laid_out(&small(), |scene, layout| {
        assert_eq!((scene.frames, layout.folds.iter().filter(|fold| fold.run).count()), (31, 1));
    });
    // As many, but at once, or one of them lost: everything is drawn.
    let dense = story(&["ann", "bob"], (0..12).map(|at| arrives(at * 11, 0, 1, "RECORD")).collect());
    let mut broken: Vec<Happening> = (0..7).map(|at| arrives(at * 20_000, 0, 1, "RECORD")).collect();
    broken[3] = frame(ms(60_000), 0, 1, "RECORD", Fate::Lost);
    for story in [dense, story(&["ann", "bob"], broken)] {
        laid_out(&story, |scene, layout| assert_eq!(layout.arrows.len(), scene.frames));
    }
}

#[test]
fn equal_frames_to_many_share_a_label() {
    let hub = story(&["hub", "a", "b", "c"], (1..4).map(|to| arrives(0, 0, to, "RECORD")).collect());
    laid_out(&hub, |_, layout| {
        assert_eq!((layout.labels.len(), layout.arrows.len()), (1, 3));
        assert_eq!(layout.labels[0].text, "RECORD, 24 B → 3");
    });
    let twice = story(&["a", "b"], vec![arrives(0, 0, 1, "RECORD"), arrives(0, 0, 1, "RECORD")]);
    laid_out(&twice, |_, layout| assert_eq!((layout.labels.len(), layout.arrows.len()), (2, 2)));
}

#[test]
fn what_is_left_out_is_said() {
    let count = MOST_FRAMES as u64 + 25;
    let mut many = story(&["ann", "bob"], (0..count).map(|at| arrives(at, 0, 1, "RECORD")).collect());
    many.events.push(arrives(1, 0, 9, "RECORD"));
    many.events.push(note(9_999, 1, "still here", Mood::Good));
    let html = many.html();
    assert!(html.contains("Not drawn: 25 frames, all frames from 2 s on."));
    assert!(html.contains("Not drawn: 1 event of bots that have no lane."));
    assert!(html.contains("still here"));
    laid_out(&many, |_, layout| assert_eq!(layout.arrows.len(), MOST_FRAMES));
    let mermaid = many.mermaid();
    assert!(mermaid.len() < 50_000);
    let drawn = mermaid.matches("->>").count();
    let said =
        format!("Note over B0,B1: {} events not drawn\n", text::grouped(many.events.len() as u128 - drawn as u128));
    assert!(mermaid.ends_with(&said), "{said}");
    let curves: Vec<Series> = (0..43).map(|_| Series { name: "s".into(), points: vec![(ms(1), 1.0)] }).collect();
    assert!(convergence("", &curves).contains("Not drawn: 3 more curves"));
    let stray = LinkSpan { a: 0, b: 7, from: ms(0), to: None, end: String::new() };
    assert!(link_map("", &many.lanes, &[stray], &[], ms(1)).contains("Not drawn: 1 link, 0 outages"));
}

#[test]
fn a_long_quiet_time_is_folded_and_says_how_long() {
    let story = story(&["ann", "bob"], vec![arrives(0, 0, 1, "a"), arrives(20_010, 1, 0, "b")]);
    laid_out(&story, |_, layout| {
        assert_eq!(layout.folds.len(), 1);
        assert!(layout.height < 250.0);
    });
    assert!(story.html().contains("⋮ 20 s</text>"));
    assert!(story.mermaid().contains("Note over B0,B1: 20 s later"));
}

#[test]
fn a_bot_that_only_starts_was_down_before() {
    let story = story(&["ann", "bob"], vec![turn(5, 1, What::Up), turn(9, 0, What::Down), turn(10, 0, What::Down)]);
    let html = story.html();
    assert!(html.contains("bob was down from the beginning to 0.005 s"));
    assert!(html.contains("ann was down from 0.009 s to the end"));
    assert_eq!(html.matches("<rect class=\"shade\"").count(), 3, "and one in the key");
}

#[test]
fn a_part_of_a_story_keeps_what_was_under_way_and_who_was_down() {
    let part = small().between(ms(95), ms(60_005));
    let expected =
        vec![turn(95, 0, What::Down), turn(30_000, 0, What::Up), frame(ms(60_000), 1, 2, "RECORD", Fate::UnderWay)];
    assert_eq!(part.events, expected);
    assert_eq!(small().between(Instant::ZERO, END), small());
}

#[test]
fn some_lanes_of_a_story_keep_their_frames_among_them() {
    let part = small().only(&[1, 0, 1, 7]);
    assert_eq!(part.lanes, ["bob", "ann"]);
    assert_eq!(part.events[0], arrives(0, 1, 0, "CONNECT"));
    let to = |event: &Happening| if let What::Frame { to, .. } = event.what { Some(to) } else { None };
    assert!(part.events.iter().all(|event| event.lane < 2 && to(event).is_none_or(|to| to < 2)));
    assert_eq!(part.events.len(), 7);
    assert_eq!(small().only(&[0, 1, 2]), small());
}

#[test]
fn events_that_are_out_of_order_are_sorted() {
    let story = story(&["ann", "bob"], vec![arrives(50, 0, 1, "second"), arrives(0, 1, 0, "first")]);
    let scene = Scene::new(&story);
    let times: Vec<Instant> = scene.items.iter().map(Item::at).collect();
    assert_eq!(times, [ms(0), ms(50)]);
}

#[test]
fn a_curve_says_when_it_was_complete_or_how_far_it_came() {
    let done = Series { name: "done".into(), points: vec![(ms(0), 0.0), (ms(40), 1.0), (ms(50), 1.0)] };
    let stuck = Series { name: "stuck".into(), points: vec![(ms(0), 0.0), (ms(40), 0.98)] };
    let plot = convergence("", &[done, stuck]);
    assert!(plot.contains(">done: all at 40 ms</text>") && plot.contains(">stuck: 98 %</text>"));
}

#[test]
fn a_link_has_one_row_and_says_why_it_ended() {
    let lanes: Vec<String> = ["ann", "bob", "cid"].map(String::from).into();
    let link =
        |a, b, from, to: Option<u64>, end: &str| LinkSpan { a, b, from: ms(from), to: to.map(ms), end: end.into() };
    let links = [
        link(0, 1, 0, Some(300), "silence"),
        link(1, 0, 700, None, ""),
        link(2, 1, 0, None, ""),
        link(1, 2, 500, None, ""),
    ];
    let outage = Outage { lane: 1, from: ms(300), to: Some(ms(700)) };
    let map = link_map("", &lanes, &links, &[outage], ms(1_000));
    assert_well_formed(&map);
    assert_eq!((map.matches(">ann – bob</text>").count(), map.matches(">bob – cid</text>").count()), (1, 1));
    assert_eq!((map.matches("class=\"bar\"").count(), map.matches("class=\"still\"").count()), (4, 3));
    assert!(map.contains("ann – bob\nfrom 0 s to 0.3 s (300 ms)\nsilence</title>") && map.contains(">silence</text>"));
    assert_eq!((map.matches("class=\"shade\"").count(), map.matches("class=\"downbar\"").count()), (2, 1));
    assert!(map.contains(">bob down</text>"));
}

#[test]
fn times_and_sizes_are_readable() {
    let span = |nanos: u64| text::span(Duration::from_nanos(nanos));
    let spans = [0, 999, 1_500, 12_500_000, 1_250_000_000, 581_250_000_000, 7_203_000_000_000, 97_200_000_000_000];
    assert_eq!(spans.map(span), ["0", "999 ns", "1.5 µs", "12.5 ms", "1.25 s", "9 min 41.25 s", "2 h 3 s", "1 d 3 h"]);
    let about = [19_940_123_456, 999_999_999, 581_250_000_000].map(|nanos| text::about(Duration::from_nanos(nanos)));
    assert_eq!(about, ["19.9 s", "1 s", "9 min 41 s"]);
    assert_eq!(text::times(&[ms(1_000), Instant::from_nanos(1_000_020_000)]), ["1 s", "+20 µs"]);
    assert_eq!([91, 9_999, 12_345, 10_000_000].map(text::size), ["91 B", "9,999 B", "12.3 kB", "10 MB"]);
}

#[test]
fn text_is_cut_where_it_can_be_told_apart() {
    assert_eq!(text::shorten("ann", 10.0, 50.0), "ann");
    let short = text::shorten("interbot1qqqqqqqqqqqqqqqqqqqqqqqqqqxyz", 10.0, 80.0);
    assert!(short.starts_with("interb") && short.ends_with("yz") && text::width(&short, 10.0) <= 80.0, "{short}");
    assert_eq!(text::shorten("long name", 10.0, 0.0), "…");
    let lines = text::wrap("one two threethreethreethree four five six seven eight", 10.0, 60.0, 4);
    assert_eq!((lines.len(), lines[0].as_str()), (4, "one two"));
    assert!(lines[3].ends_with('…') && lines.iter().all(|line| text::width(line, 10.0) <= 60.0), "{lines:?}");
}
