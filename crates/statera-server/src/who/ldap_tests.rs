//! A directory in the process: what it is told, byte by byte, and what it answers.

use super::*;
use crate::who::testing::{NOW_US, TestClock, add_person, door_over, store};
use crate::who::{Doorkeeper, SECOND_US, WhoSettings};
use statera_store::act::{Act, Actor};
use statera_store::people::NewPerson;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

fn settings(more: &str) -> LdapSettings {
    toml::from_str(&format!(
        "url = 'ldaps://dc1.bank.example'\nbind = 'uid={{name}},ou=people,dc=bank'\nbase = 'ou=people,dc=bank'\n{more}\n\
         [roles]\n'CN=Risk Makers, OU=groups,dc=bank' = ['maker']\n'cn=risk-viewers,ou=groups,dc=bank' = ['viewer']\n"
    ))
    .unwrap()
}

/// What came of a request, as a message of an operation.
fn answer(id: u32, kind: u8, code: u32) -> Vec<u8> {
    let empty = || ber::value(tag::OCTETS, b"");
    message(id, ber::values(kind, &[ber::number(tag::ENUMERATED, code), empty(), empty()]))
}

fn message(id: u32, operation: Vec<u8>) -> Vec<u8> {
    ber::values(tag::SEQUENCE, &[ber::number(tag::INTEGER, id), operation])
}

fn found(id: u32, name: &str, attributes: &[(&str, &[&str])]) -> Vec<u8> {
    let text = |t: &str| ber::value(tag::OCTETS, t.as_bytes());
    let one = |(attribute, values): &(&str, &[&str])| {
        let values: Vec<Vec<u8>> = values.iter().map(|v| text(v)).collect();
        ber::values(tag::SEQUENCE, &[text(attribute), ber::values(tag::SET, &values)])
    };
    let attributes: Vec<Vec<u8>> = attributes.iter().map(one).collect();
    message(id, ber::values(ENTRY, &[text(name), ber::values(tag::SEQUENCE, &attributes)]))
}

/// Somebody with these roles.
fn somebody(name: &str, roles: &[Role]) -> Option<Found> {
    Some(Found { name: name.into(), roles: roles.iter().copied().collect() })
}

/// The next request: its operation.
async fn request(stream: &mut DuplexStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    let n = match head[1] {
        n if n < 0x80 => usize::from(n),
        0x81 => usize::from(stream.read_u8().await.unwrap()),
        _ => usize::from(stream.read_u16().await.unwrap()),
    };
    let mut content = vec![0; n];
    stream.read_exact(&mut content).await.unwrap();
    let mut reader = Reader::new(&content);
    reader.number(tag::INTEGER).unwrap();
    let (kind, content) = reader.next().unwrap();
    ber::value(kind, content)
}

/// Signs in while a directory answers each request in turn; gives who was found and the requests.
async fn talk(settings: &LdapSettings, name: &str, answers: Vec<Vec<u8>>) -> (Result<Option<Found>>, Vec<Vec<u8>>) {
    let ldap = Ldap::new(settings).unwrap();
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let serving = async {
        let mut requests = Vec::new();
        for answer in answers {
            requests.push(request(&mut theirs).await);
            theirs.write_all(&answer).await.unwrap();
        }
        drop(theirs);
        requests
    };
    tokio::join!(ldap.talk(ours, name, "pass word"), serving)
}

#[tokio::test]
async fn groups_of_the_person_become_roles() {
    let groups = ["cn=risk makers,ou=groups,DC=bank", "cn=unknown,dc=bank"];
    let answers = vec![
        answer(1, BIND_ANSWER, 0),
        [found(2, "uid=kim,ou=people,dc=bank", &[("UID", &["kim"]), ("memberof", &groups)]), answer(2, SEARCH_DONE, 0)]
            .concat(),
    ];
    let (person, requests) = talk(&settings(""), "kim", answers).await;
    assert_eq!(person.unwrap(), somebody("kim", &[Role::Maker]));
    // By hand (RFC 4511): BIND { 3, name, [0] password }.
    assert_eq!(requests[0], b"\x60\x29\x02\x01\x03\x04\x19uid=kim,ou=people,dc=bank\x80\x09pass word");
    let search = &requests[1];
    let asked = b"\xa3\x0a\x04\x03uid\x04\x03kim0\x0f\x04\x03uid\x04\x08memberOf";
    assert!(search.windows(asked.len()).any(|w| w == asked), "{search:?}");
}

#[tokio::test]
async fn groups_that_list_their_members_become_roles() {
    let more = "group_base = 'ou=groups,dc=bank'\nmember_attribute = 'member'";
    let done = answer(3, SEARCH_DONE, 0);
    let answers = vec![
        answer(1, BIND_ANSWER, 0),
        [found(2, "uid=kim,ou=people,dc=bank", &[("cn", &["x"]), ("uid", &["kim"])]), answer(2, SEARCH_DONE, 0)]
            .concat(),
        [found(3, "cn=risk-viewers,ou=groups,dc=bank", &[]), done].concat(),
    ];
    let (person, requests) = talk(&settings(more), "kim", answers).await;
    assert_eq!(person.unwrap(), somebody("kim", &[Role::Viewer]));
    let asked = b"\x04\x06member\x04\x19uid=kim,ou=people,dc=bank";
    assert!(requests[2].windows(asked.len()).any(|w| w == asked));
}

/// Directories take a name in capitals, too, and some entries have several: whoever signs in is one person here, and cannot
/// approve as another what they proposed.
#[tokio::test]
async fn however_a_name_is_typed_it_is_one_person() {
    let makers: &[&str] = &["cn=risk makers,ou=groups,dc=bank"];
    let names: [(&str, &[&str]); 4] =
        [("kim", &["kim"]), ("KIM", &["kim"]), ("Kim", &["KIM"]), ("minji", &["minji", "Kim"])];
    for (typed, names) in names {
        let entry = found(2, "uid=kim,ou=people,dc=bank", &[("uid", names), ("memberOf", makers)]);
        let answers = vec![answer(1, BIND_ANSWER, 0), [entry, answer(2, SEARCH_DONE, 0)].concat()];
        let (person, _) = talk(&settings(""), typed, answers).await;
        assert_eq!(person.unwrap(), somebody("kim", &[Role::Maker]), "{typed} {names:?}");
    }
    // One whose name it does not show is nobody.
    let entry = found(2, "uid=kim,ou=people,dc=bank", &[("memberOf", makers)]);
    let answers = vec![answer(1, BIND_ANSWER, 0), [entry, answer(2, SEARCH_DONE, 0)].concat()];
    assert_eq!(talk(&settings(""), "kim", answers).await.0.unwrap(), None);
}

/// A door whose directory gives the same answers to everybody who asks.
async fn door_before(folder: &std::path::Path, answers: Vec<Vec<u8>>) -> Doorkeeper {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            for answer in &answers {
                let mut head = [0; 2];
                if stream.read_exact(&mut head).await.is_err() {
                    break;
                }
                let n = match head[1] {
                    n if n < 0x80 => usize::from(n),
                    0x81 => usize::from(stream.read_u8().await.unwrap()),
                    _ => usize::from(stream.read_u16().await.unwrap()),
                };
                stream.read_exact(&mut vec![0; n]).await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    let settings = WhoSettings { ldap: Some(LdapSettings { url, ..settings("") }), ..WhoSettings::default() };
    let (folder, store) = (folder.join("store"), store(folder));
    door_over(&folder, store, &TestClock::default(), &settings, |_| {})
}

async fn try_name(door: &Doorkeeper, name: &str) -> std::result::Result<(), u16> {
    let done = door.sign_in(name, Zeroizing::new("pass word".into()), None, true).await;
    done.map(drop).map_err(|failure| failure.status.as_u16())
}

/// People who were added as the directory spells them, or by a program that kept names as they were typed.
#[tokio::test]
async fn who_was_kept_in_capitals_comes_in_under_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let makers: &[&str] = &["cn=risk makers,ou=groups,dc=bank"];
    let entry = found(2, "uid=jsmith,ou=people,dc=bank", &[("uid", &["jsmith"]), ("memberOf", makers)]);
    let answers = vec![answer(1, BIND_ANSWER, 0), [entry, answer(2, SEARCH_DONE, 0)].concat()];
    let door = door_before(folder.path(), answers).await;
    add_person(&door, "root", &[Role::Admin]);
    let person = NewPerson { name: "JSmith".into(), roles: [Role::Viewer].into(), password: None };
    door.store.act(&Actor::System, Act::AddPerson { person }).unwrap();
    for typed in ["jsmith", "JSmith", "JSMITH"] {
        assert_eq!(try_name(&door, typed).await, Ok(()), "{typed}");
    }
    assert_eq!(door.store.person("JSmith").unwrap().roles, [Role::Maker].into(), "the roles of today");
    let issued = door.sign_in_identified("jsmith", [Role::Checker].into(), true).await;
    assert!(issued.is_ok() && door.store.person("JSmith").unwrap().roles == [Role::Checker].into());
    assert_eq!(door.store.people().unwrap().len(), 2);
    door.store.act(&Actor::System, Act::SetDisabled { name: "JSmith".into(), disabled: true }).unwrap();
    assert_eq!(try_name(&door, "jsmith").await, Err(401), "disabled is disabled however it is typed");
}

/// Five failures in five spellings are five of one person.
#[tokio::test]
async fn guesses_in_other_capitals_are_guesses_at_the_same_person() {
    let folder = tempfile::tempdir().unwrap();
    let door = door_before(folder.path(), vec![answer(1, BIND_ANSWER, 49)]).await;
    add_person(&door, "root", &[Role::Admin]);
    let person = NewPerson { name: "kim".into(), roles: [Role::Maker].into(), password: None };
    door.store.act(&Actor::System, Act::AddPerson { person }).unwrap();
    for typed in ["kim", "KIM", "Kim", "kIm", "kiM"] {
        assert_eq!(door.store.person("kim").unwrap().locked_until_us, 0, "{typed}");
        assert_eq!(try_name(&door, typed).await, Err(401), "{typed}");
    }
    assert!(door.store.person("kim").unwrap().locked_until_us > NOW_US + SECOND_US);
}

#[tokio::test]
async fn names_inject_nothing() {
    let answers = vec![answer(1, BIND_ANSWER, 0), answer(2, SEARCH_DONE, 0)];
    let (roles, requests) = talk(&settings(""), "*)(uid=*,ou=x+\\", answers).await;
    assert_eq!(roles.unwrap(), None);
    let bound = b"uid=*)(uid=*\\,ou=x\\+\\\\,ou=people,dc=bank";
    assert!(requests[0].windows(bound.len()).any(|w| w == bound), "{:?}", String::from_utf8_lossy(&requests[0]));
    // In the filter the name is one value, whatever is in it.
    let filter = b"\xa3\x16\x04\x03uid\x04\x0f*)(uid=*,ou=x+\\";
    assert!(requests[1].windows(filter.len()).any(|w| w == filter), "{:?}", String::from_utf8_lossy(&requests[1]));
}

#[tokio::test]
async fn who_is_refused_or_not_one_has_no_roles() {
    for code in [32, 34, 49, 53] {
        let (roles, _) = talk(&settings(""), "kim", vec![answer(1, BIND_ANSWER, code)]).await;
        assert_eq!(roles.unwrap(), None, "code {code}");
    }
    let twice = [found(2, "a", &[]), found(2, "b", &[]), answer(2, SEARCH_DONE, 0)].concat();
    let (roles, _) = talk(&settings(""), "kim", vec![answer(1, BIND_ANSWER, 0), twice]).await;
    assert_eq!(roles.unwrap(), None);
    let ldap = Ldap::new(&settings("")).unwrap();
    assert_eq!(ldap.sign_in("kim", "").await.unwrap(), None);
}

#[tokio::test]
async fn a_directory_that_is_ill_is_busy_and_not_a_refusal() {
    let cases: [Vec<u8>; 6] = [
        answer(1, BIND_ANSWER, 51),
        answer(2, BIND_ANSWER, 0),
        answer(1, SEARCH_DONE, 0),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\x30\x84\x7f\xff\xff\xff".to_vec(),
        b"\x30\x80".to_vec(),
    ];
    for bytes in cases {
        let (roles, _) = talk(&settings(""), "kim", vec![bytes.clone()]).await;
        assert_eq!(roles.unwrap_err().kind(), statera_core::ErrorKind::Busy, "{bytes:?}");
    }
}

#[test]
fn a_directory_far_away_is_reached_over_tls_only() {
    let way = |url: &str| {
        let settings = LdapSettings { url: url.into(), ..settings("") };
        Ldap::new(&settings).map(|l| (l.way, l.port)).ok()
    };
    assert_eq!(way("ldaps://dc1.bank.example"), Some((Way::Tls, 636)));
    assert_eq!(way("ldap://dc1.bank.example:1389"), Some((Way::StartTls, 1389)));
    assert_eq!(way("ldap://127.0.0.1"), Some((Way::Plain, 389)));
    assert_eq!(way("http://dc1.bank.example"), None);
    let settings = LdapSettings { bind: "cn=admin,dc=bank".into(), ..settings("") };
    assert!(Ldap::new(&settings).is_err());
}

#[test]
fn a_directory_that_is_away_is_told_without_where_it_is() {
    let failure =
        crate::who::sign_in::away(Error::busy("ldap dc1.bank.example:636: Connection refused (os error 111)"));
    assert_eq!(failure.status, axum::http::StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failure.message, "the directory does not answer; the server's log says why");
}
