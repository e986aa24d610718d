//! Stands between clients and a server: the server never learns that a client has gone, and both may be kept from hearing each
//! other, as where a machine between them fails without a word.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Relay {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_silent: AtomicBool,
    is_over: AtomicBool,
    /// Connections to the server, which stay open.
    held: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// A relay to a port of this machine.
    pub fn to(server: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, state) = (listener.local_addr().expect("an address").port(), Arc::<State>::default());
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                shared.held.lock().expect("is free").push(server.try_clone().expect("a copy"));
                let back = (server.try_clone().expect("a copy"), client.try_clone().expect("a copy"));
                for (from, to) in [(client, server), back] {
                    let shared = shared.clone();
                    thread::spawn(move || shared.copy(from, to));
                }
            }
        });
        Relay { port, state }
    }

    /// From now on nobody hears anything.
    pub fn be_silent(&self) {
        self.state.is_silent.store(true, Ordering::SeqCst);
    }
}

impl State {
    /// Passes on what comes until there is an end, which is not passed on.
    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 << 10];
        while let Ok(n) = from.read(&mut bytes) {
            let is_silent = self.is_silent.load(Ordering::SeqCst);
            if n == 0 || (!is_silent && to.write_all(&bytes[..n]).is_err()) {
                return;
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        // So that the thread that waits for clients looks.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for server in self.state.held.lock().expect("is free").drain(..) {
            let _ = server.shutdown(std::net::Shutdown::Both);
        }
    }
}
