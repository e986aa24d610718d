//! Names of requests that are on their way to the disk. A state learns what a request says before the store has it, and cannot
//! unlearn it: two requests of one name at once would both find the name free, the writer would refuse one, and the state would be
//! rebuilt. So the second is told to come back.

use statera_core::{Error, Result};
use statera_store::record::RequestName;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names at once; the store's queue and the flow admit fewer.
const MAX_NAMES: usize = 1 << 16;

/// Names, each with the scope of who asks.
type Held = HashSet<(String, String)>;

/// The names that are on their way.
#[derive(Default)]
pub struct Names {
    held: Arc<Mutex<Held>>,
}

/// A name on its way, until it is dropped.
pub(crate) struct HeldName {
    held: Arc<Mutex<Held>>,
    name: (String, String),
}

impl Names {
    /// Holds a name. Whether the store has it already is to be asked after this: what was held before is there then.
    ///
    /// # Errors
    /// 503 where the name is held, or too many are.
    pub(crate) fn hold(&self, request: &RequestName) -> Result<HeldName> {
        let name = (request.scope.clone(), request.name.clone());
        let mut held = locked(&self.held);
        let n = held.len();
        if n >= MAX_NAMES {
            return Err(Error::busy(format!("{n} named requests are worked on, as many as are allowed; ask again")));
        }
        if !held.insert(name.clone()) {
            let name = name.1;
            return Err(Error::busy(format!("the request «{name}» is being worked on; ask again for its answer")));
        }
        Ok(HeldName { held: self.held.clone(), name })
    }
}

impl Drop for HeldName {
    fn drop(&mut self) {
        locked(&self.held).remove(&self.name);
    }
}

fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    // Every change of it is whole.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_by_one_at_a_time_under_its_scope() {
        let names = Names::default();
        let name = |scope: &str| RequestName { scope: scope.into(), name: "r1".into(), body_digest: [0; 32] };
        let held = names.hold(&name("key:a")).expect("it is free");
        let other = RequestName { body_digest: [1; 32], ..name("key:a") };
        let told = names.hold(&other).err().expect("it is held").to_string();
        assert_eq!(told, "the request «r1» is being worked on; ask again for its answer");
        let _of_another = names.hold(&name("key:b")).expect("of somebody else");
        drop(held);
        names.hold(&other).expect("it is free again");
    }
}
