//! A door over a store of its own, and a clock that tests move.

use super::{Clock, Doorkeeper, Inner, SECOND_US, WhoSettings, password::Passwords};
use statera_store::act::{Act, Actor};
use statera_store::people::{NewPerson, Role};
use statera_store::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use zeroize::Zeroizing;

/// When tests begin: 2026-11-21 12:00 UTC.
pub const NOW_US: i64 = 1_795_262_400 * SECOND_US;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl Default for TestClock {
    fn default() -> TestClock {
        TestClock(Arc::new(AtomicI64::new(NOW_US)))
    }
}

impl TestClock {
    /// Moves it on.
    pub fn advance_s(&self, seconds: i64) {
        self.0.fetch_add(seconds * SECOND_US, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Arc::new(move || now.load(Ordering::SeqCst))
    }
}

/// A store in the folder, whose own clock stands still at the beginning.
pub fn store(folder: &Path) -> Arc<dyn Store> {
    let address = folder.join("store").to_string_lossy().into_owned();
    let mut options = StoreOptions::at(&address, None).unwrap();
    options.clock = || NOW_US;
    statera_store::open(&options).unwrap()
}

/// A door over a new store in the folder.
pub fn door(folder: &Path, clock: &TestClock) -> Doorkeeper {
    door_with(folder, clock, |_| {})
}

/// The same, changed before anybody has it.
pub(crate) fn door_with(folder: &Path, clock: &TestClock, change: impl FnOnce(&mut Inner)) -> Doorkeeper {
    door_over(&folder.join("store"), store(folder), clock, &WhoSettings::default(), change)
}

/// A door over a store that is there.
pub(crate) fn door_over(
    folder: &Path,
    store: Arc<dyn Store>,
    clock: &TestClock,
    settings: &WhoSettings,
    change: impl FnOnce(&mut Inner),
) -> Doorkeeper {
    let mut door = Doorkeeper::open(settings, folder, store, clock.clock()).unwrap();
    change(Arc::get_mut(&mut door.0).unwrap());
    door
}

/// The password of everybody in tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// A person with [`PASSWORD`].
pub fn add_person(door: &Doorkeeper, name: &str, roles: &[Role]) {
    let person = NewPerson { name: name.into(), roles: roles.iter().copied().collect(), password: Some(phc()) };
    door.store.act(&Actor::System, Act::AddPerson { person }).unwrap();
}

/// The argon2 text of [`PASSWORD`], made once.
fn phc() -> String {
    static PHC: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let hash = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let passwords = Passwords::new(1).unwrap();
        runtime.block_on(async {
            passwords.turn().await.unwrap().hash("x", Zeroizing::new(PASSWORD.into())).await.unwrap()
        })
    };
    PHC.get_or_init(|| std::thread::spawn(hash).join().unwrap()).clone()
}

/// A file that only its owner can read.
pub fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
