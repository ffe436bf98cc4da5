//! What members say to each other, and the pieces that they pass on.

use bytes::BytesMut;

use super::super::tests::answer;
use super::super::tests::hall::Hall;
use super::*;

fn name(n: u8) -> PieceId {
    PieceId([n; 32])
}

fn encoded(message: &LedgerMessage) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.to_vec()
}

fn messages() -> Vec<(&'static str, LedgerMessage)> {
    let place = Place { height: Height(300), header: HeaderId([7; 32]) };
    let part = |whole, at, of| LedgerMessage::Part { whole, at, of, bytes: Bytes::from_static(b"a part") };
    let digests = (0..64).map(|n| [n; 16]).collect();
    [
        ("here", LedgerMessage::Here { place, whole: [4; 16] }),
        ("ask, for the genesis too", LedgerMessage::AskCertificates { after: None }),
        ("ask, what follows the genesis", LedgerMessage::AskCertificates { after: Some(Height(0)) }),
        ("ask", LedgerMessage::AskCertificates { after: Some(Height(299)) }),
        ("have", LedgerMessage::Have { buckets: 1 << 63 | 1, names: [name(1), name(0xfd)].into() }),
        ("have nothing", LedgerMessage::Have { buckets: 2, names: Vec::new() }),
        ("want", LedgerMessage::Want { names: [name(1), name(9)].into() }),
        ("pieces", LedgerMessage::Pieces([&b"one"[..], b"two"].map(Bytes::from_static).into())),
        ("part of the genesis", part(Whole::Genesis, 0, 1)),
        ("part of a certificate", part(Whole::Certificate, 23, 24)),
        ("part of a piece, the last there can be", part(Whole::Piece, 65_534, 65_535)),
        ("digests", LedgerMessage::Digests { place, digests }),
    ]
    .into()
}

fn refused_messages() -> Vec<Value> {
    let place = Place { height: Height(1), header: HeaderId([7; 32]) };
    let want = |names: Vec<PieceId>| encoded(&LedgerMessage::Want { names });
    let part = |at, of, bytes: &'static [u8]| {
        encoded(&LedgerMessage::Part { whole: Whole::Piece, at, of, bytes: Bytes::from_static(bytes) })
    };
    let here = encoded(&LedgerMessage::Here { place, whole: [4; 16] });
    let many = |n: u16| {
        let name = |n: u16| [&n.to_be_bytes()[..], &[0; 30]].concat().try_into().expect("32 bytes");
        (0..n).map(|n| PieceId(name(n))).collect()
    };
    assert!(LedgerMessage::decode(&want(many(480)).into()).is_ok());
    [
        ("empty", Vec::new()),
        ("one byte short", shorter(&here)),
        ("trailing byte", longer(&here)),
        ("an item too many", longer(&changed(&here, 0, 0x85))),
        ("kind 16 in three bytes", [&[0x84, 0x18, 16][..], &here[2..]].concat()),
        ("a header of 31 bytes", [&[0x84, 16, 1, 0x58, 31][..], &[7; 31], &[0x50], &[4; 16]].concat()),
        ("height 1 in two bytes", [&[0x84, 16, 0x18, 1][..], &here[3..]].concat()),
        ("kind 63", [0x82, 0x18, 63, 0].into()),
        ("an ask with a negative number", [0x82, 17, 0x20].into()),
        ("names out of order", want([name(2), name(1)].into())),
        ("a name twice", want([name(2), name(2)].into())),
        ("names of 33 bytes", [&[0x82, 19, 0x58, 33][..], &[1; 33]].concat()),
        ("481 names", want(many(481))),
        ("no piece", encoded(&LedgerMessage::Pieces(Vec::new()))),
        ("a part behind the last", part(3, 3, b"part")),
        ("an empty part", part(0, 3, b"")),
        ("a part of something else", changed(&part(0, 3, b"part"), 3, 3)),
        ("65,536 parts", [&[0x85, 21, 2, 0, 0x1a, 0, 1, 0, 0][..], b"\x44part"].concat()),
        ("63 digests", encoded(&LedgerMessage::Digests { place, digests: vec![[3; 16]; 63] })),
        ("16,385 bytes", encoded(&LedgerMessage::Pieces([Bytes::from(vec![0; 16_385 - 5])].into()))),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        assert!(LedgerMessage::decode(&bytes.clone().into()).is_err(), "{name}");
        json!({ "name": name, "bytes": hex(&bytes) })
    })
    .collect()
}

fn joining(community: &CommunityId) -> Vec<(&'static str, JoinMessage)> {
    let words = Bytes::from_static("für alle".as_bytes());
    let application = Application::new(community, key(9), key(1), [1; 16], words, &*signer(9));
    let question = StatementId([5; 32]);
    [
        ("apply", JoinMessage::Apply { application: application.clone(), token: None }),
        ("apply with a token", JoinMessage::Apply { application, token: Some(Token::from_bytes([7; 16])) }),
        ("receipt, waiting", JoinMessage::Receipt(Receipt::Waiting)),
        ("receipt, asked", JoinMessage::Receipt(Receipt::Asked(question))),
        ("receipt, guest", JoinMessage::Receipt(Receipt::Guest(question))),
        ("receipt, declined", JoinMessage::Receipt(Receipt::Declined)),
        ("receipt, later", JoinMessage::Receipt(Receipt::Later)),
        ("receipt, not invited", JoinMessage::Receipt(Receipt::NotInvited)),
    ]
    .into()
}

fn join_bytes(message: &JoinMessage) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.to_vec()
}

fn join_messages(community: &CommunityId) -> Vec<Value> {
    let messages = joining(community).into_iter().map(|(name, message)| {
        let bytes = join_bytes(&message);
        assert_eq!(JoinMessage::decode(&bytes.clone().into()), Ok(message), "{name}");
        json!({ "name": name, "bytes": hex(&bytes) })
    });
    messages.collect()
}

fn refused_join_messages(community: &CommunityId) -> Vec<Value> {
    let of = |wanted: &str| {
        let found = joining(community).into_iter().find(|(name, _)| *name == wanted);
        join_bytes(&found.expect("one of the good ones").1)
    };
    let (apply, waiting, asked) = (of("apply with a token"), of("receipt, waiting"), of("receipt, asked"));
    [
        ("cut", shorter(&apply)),
        ("a token of 15 bytes", [&apply[..apply.len() - 17], &[0x4f], &[7; 15]].concat()),
        ("a trailing byte", longer(&apply)),
        ("waiting, with a question", changed(&asked, 3, 0)),
        ("asked, without a question", changed(&waiting, 3, 1)),
        ("a state 6", changed(&waiting, 3, 6)),
        ("a question of 31 bytes", [&asked[..4], &[0x58, 31], &[5; 31]].concat()),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        assert!(JoinMessage::decode(&bytes.clone().into()).is_err(), "{name}");
        json!({ "name": name, "bytes": hex(&bytes) })
    })
    .collect()
}

/// The community of four that the pieces are of.
fn hall() -> Hall {
    Hall::found(founding(Rules::preset(Preset::Village), 1..=4))
}

fn held(hall: &Hall, id: StatementId) -> Statement {
    hall.held[&id].clone()
}

fn pieces(hall: &mut Hall) -> Vec<(&'static str, Piece)> {
    let proposal = hall.ask(1, 1, Ask::Revoke { subject: key(25) });
    let (community, place) = (*hall.chain.community(), hall.chain.place());
    hall.votes(proposal, "yyyn");
    let listing = Listing { opened_at: UnixMillis(1_767_830_400_000), ..hall.listing.clone() };
    let header = {
        hall.listing = listing.clone();
        hall.next().header.id(&community)
    };
    let seal = say(&community, place, 2, Body::Seal { view: View(0), header });
    let pair = [1, 2].map(|n| hall.say(3, Body::Ack { view: View(0), header: HeaderId([n; 32]) }));
    let evidence = Evidence::of(&hall.held[&pair[0]], &hall.held[&pair[1]]).expect("two Acks");
    let is_yes =
        |id: &&StatementId| hall.held[*id].ballot().and_then(|ballot| ballot.answer(&proposal)) == answer(b'y');
    let statements = listing.ballots.iter().filter(is_yes).map(|id| held(hall, *id)).collect();
    let backing = Backing { proposal, height: place.height, statements };
    let report = Report::new(&community, key(1), place, &key(4), &*signer(1));
    let ack = Body::Ack { view: View(1), header };
    let acks = [1, 2, 3].map(|seed| hall.signature(place, seed, ack.clone()));
    let proof = AckProof::new(View(1), header, hall.chain.roster(), 3, acks).expect("a quorum");
    [
        ("a statement", Piece::Statement(held(hall, proposal).into())),
        ("Offer", Piece::Offer(Offer { seal, listing }.into())),
        ("Evidence", Piece::Evidence(evidence.into())),
        ("Backing", Piece::Backing(backing.into())),
        ("Silence", Piece::Silence(Silence { subject: key(4), report }.into())),
        ("Lock", Piece::Lock(Lock { place, proof }.into())),
    ]
    .into()
}

fn refused_pieces(hall: &Hall, pieces: &[(&'static str, Piece)]) -> Vec<Value> {
    let bytes = |wanted: &str| {
        let (_, piece) = pieces.iter().find(|(name, _)| *name == wanted).expect("one of them");
        piece.to_bytes().to_vec()
    };
    let (statement, offer) = (bytes("a statement"), bytes("Offer"));
    let (evidence, backing, silence, lock) = (bytes("Evidence"), bytes("Backing"), bytes("Silence"), bytes("Lock"));
    // Length and first statement behind the first byte.
    let (first, second) = evidence[1..].split_at((evidence.len() - 1) / 2);
    let ballot = (backing.len() - 41) / 3;
    let of_backing = |at: usize| &backing[41 + at * ballot..][..ballot];
    let seal = &offer[3..3 + usize::from(u16::from_be_bytes([offer[1], offer[2]]))];
    let with_seal = |inner: &[u8]| {
        let len = u16::try_from(inner.len()).expect("short").to_be_bytes();
        [&[64][..], &len, inner, &offer[3 + seal.len()..]].concat()
    };
    let flip = |bytes: &[u8], at: usize| changed(bytes, at, bytes[at] ^ 1);
    [
        ("empty", Vec::new()),
        ("first byte 63", changed(&statement, 0, 63)),
        ("first byte 69", changed(&silence, 0, 69)),
        ("a Seal without its listing", seal.to_vec()),
        ("an Offer of a statement that is no Seal", with_seal(&statement)),
        ("an Offer with a byte behind its listing", longer(&offer)),
        ("an Offer whose Seal has a bit flipped", flip(&offer, 2 + seal.len())),
        ("Evidence in the other order", [&[65][..], second, first].concat()),
        ("Evidence of one statement twice", [&[65][..], first, first].concat()),
        ("Evidence with a byte behind it", longer(&evidence)),
        ("Evidence with a bit of a signature flipped", flip(&evidence, evidence.len() - 1)),
        ("Backing out of order", [&backing[..41], of_backing(1), of_backing(0), of_backing(2)].concat()),
        ("Backing with a ballot twice", [&backing[..41], of_backing(0), of_backing(0)].concat()),
        ("Backing with a bit of a signature flipped", flip(&backing, backing.len() - 1)),
        ("Silence with a byte behind it", longer(&silence)),
        ("Silence about another member", with(&silence, 1, key(3).as_bytes())),
        ("Silence about a key of small order", with(&silence, 1, &[0; 32])),
        ("a Lock with a signature less", lock[..lock.len() - 64].to_vec()),
        ("a Lock at another place", flip(&lock, 8)),
        ("a Lock with a bit of a signature flipped", flip(&lock, lock.len() - 1)),
        ("a Lock by two of four", {
            let at = 1 + 40 + 4 + 32 + 4;
            // One place less, and the last signature.
            let fewer = lock[at] & (lock[at] - 1);
            changed(&lock[..lock.len() - 64], at, fewer)
        }),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let reason = match Piece::read(hall.chain.community(), &bytes.clone().into()) {
            Err(_) => "layout",
            Ok(piece) if !piece.is_genuine(hall.chain.community(), &hall.chain, &Pure) => "signature",
            Ok(_) => panic!("{name} is fine"),
        };
        json!({ "name": name, "piece": hex(&bytes), "reason": reason })
    })
    .collect()
}

#[test]
fn messages_and_pieces_are_those_of_the_vectors() {
    let messages: Vec<_> = messages()
        .into_iter()
        .map(|(name, message)| {
            let bytes = encoded(&message);
            assert_eq!(LedgerMessage::decode(&bytes.clone().into()), Ok(message), "{name}");
            json!({ "name": name, "bytes": hex(&bytes) })
        })
        .collect();
    let mut hall = hall();
    let pieces = pieces(&mut hall);
    let good: Vec<_> = pieces
        .iter()
        .map(|(name, piece)| {
            let bytes = piece.to_bytes();
            assert_eq!(Piece::read(hall.chain.community(), &bytes).as_ref(), Ok(piece), "{name}");
            assert!(piece.is_genuine(hall.chain.community(), &hall.chain, &Pure), "{name}");
            json!({ "name": name, "piece": hex(&bytes), "id": hex(&piece.id().0) })
        })
        .collect();
    check(
        "ledger-messages.json",
        &json!({
            "messages": messages,
            "refused_messages": refused_messages(),
            "join_messages": join_messages(hall.chain.community()),
            "refused_join_messages": refused_join_messages(hall.chain.community()),
            "genesis": hex(&hall.genesis.to_bytes()),
            "pieces": good,
            "refused_pieces": refused_pieces(&hall, &pieces),
        }),
    );
}
