//! Certificates made by `openssl`, and handshakes without a socket.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A root, a server's certificate for `localhost` and a client's of it, in a folder.
struct Office(tempfile::TempDir);

impl Office {
    /// None where there is no `openssl` to compare with, which the test says.
    fn new() -> Option<Office> {
        if Command::new("openssl").arg("version").output().is_err() {
            eprintln!("skipped: no program openssl");
            return None;
        }
        let office = Office(tempfile::tempdir().unwrap());
        office.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout ca.key -out ca.pem -subj /CN=root");
        office.server(1);
        office.issue("client", "/O=Bank, Ltd./OU=pay/CN=payments", "clientAuth");
        Some(office)
    }

    /// Another certificate under the same names of files.
    fn server(&self, serial: u32) {
        self.issue("server", &format!("/CN=localhost/serialNumber={serial}"), "serverAuth");
    }

    fn issue(&self, name: &str, subject: &str, usage: &str) {
        std::fs::write(self.path("ext"), format!("subjectAltName=DNS:localhost\nextendedKeyUsage={usage}\n")).unwrap();
        self.openssl_with(
            &format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj"),
            subject,
        );
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out {name}.pem"
        ));
        std::fs::set_permissions(self.path(&format!("{name}.key")), PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn openssl(&self, args: &str) {
        self.openssl_with(args, "");
    }

    fn openssl_with(&self, args: &str, last: &str) {
        let args = args.split(' ').chain((!last.is_empty()).then_some(last));
        let output = Command::new("openssl").args(args).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn settings(&self, is_needed: Option<bool>) -> TlsSettings {
        TlsSettings {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: is_needed.map(|_| self.path("ca.pem")),
            client_certificate_needed: is_needed.unwrap_or(false),
        }
    }
}

/// A client that trusts the root, with a certificate or without.
fn client(
    office: &Office,
    certificate: Option<&str>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&office.path("ca.pem")).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = std::fs::read(office.path(&format!("{name}.key"))).unwrap();
            let chain = certificates(&office.path(&format!("{name}.pem"))).unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key).unwrap()).unwrap()
        }
    })
}

/// Shakes hands; gives the subject that the server saw and the certificate that the client saw.
async fn shake(acceptor: &Acceptor, config: Arc<rustls::ClientConfig>) -> Result<(Option<Arc<str>>, Vec<u8>)> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let client = async {
        let mut stream = crate::client::shake(config, "localhost", theirs).await?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        // In TLS 1.3 a client learns that it is refused when it reads.
        let mut byte = [0];
        let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await;
        read.map_err(|e| Error::io(e.to_string()))?;
        Ok::<_, Error>(certificate)
    };
    let server = async {
        let (mut stream, subject) = acceptor.accept(ours).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"x").await.unwrap();
        tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
        Ok::<_, Error>(subject)
    };
    let (subject, certificate) = tokio::join!(server, client);
    Ok((subject?, certificate?))
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn both_versions_are_spoken_and_a_new_certificate_is_used_at_once() {
    let Some(office) = Office::new() else { return };
    let acceptor = Acceptor::open(&office.settings(None)).unwrap();
    let (subject, first) = shake(&acceptor, client(&office, None, &[&rustls::version::TLS12])).await.unwrap();
    assert_eq!(subject, None);
    assert_eq!(shake(&acceptor, client(&office, None, BOTH)).await.unwrap().1, first);
    // Half-written files: the log says so, and the last good ones stay.
    std::fs::write(office.path("server.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    acceptor.reload();
    assert_eq!(shake(&acceptor, client(&office, None, BOTH)).await.unwrap().1, first);
    office.server(2);
    acceptor.reload();
    let second = shake(&acceptor, client(&office, None, BOTH)).await.unwrap().1;
    assert_ne!(second, first);
}

#[tokio::test]
async fn a_clients_certificate_is_verified_and_named() {
    let Some(office) = Office::new() else { return };
    let asked = Acceptor::open(&office.settings(Some(false))).unwrap();
    let (subject, _) = shake(&asked, client(&office, Some("client"), BOTH)).await.unwrap();
    assert_eq!(subject.as_deref(), Some("CN=payments,OU=pay,O=Bank\\, Ltd."));
    assert_eq!(shake(&asked, client(&office, None, BOTH)).await.unwrap().0, None);
    let needed = Acceptor::open(&office.settings(Some(true))).unwrap();
    assert!(shake(&needed, client(&office, Some("client"), BOTH)).await.is_ok());
    assert!(shake(&needed, client(&office, None, BOTH)).await.is_err());
    // Of another root, under the same name.
    let Some(other) = Office::new() else { return };
    let mut forged = TlsSettings { client_ca: Some(other.path("ca.pem")), ..office.settings(Some(false)) };
    let acceptor = Acceptor::open(&forged).unwrap();
    assert!(shake(&acceptor, client(&office, Some("client"), BOTH)).await.is_err());
    forged.client_ca = Some(office.path("server.key"));
    assert!(Acceptor::open(&forged).is_err());
}

/// The subject is what `openssl -nameopt RFC2253` prints.
#[test]
fn subjects_are_written_as_openssl_writes_them() {
    let Some(office) = Office::new() else { return };
    for subject in [
        "/C=KR/O=Bank/OU=Risk/OU=Models/CN=scorer-1",
        "/O=A\\+B \"quoted\"/CN=<a;b>",
        "/DC=kr/DC=bank/CN=한국 은행",
        "/CN=# leading and trailing ",
        "/UID=u-17/CN=a=b/serialNumber=5/emailAddress=a@b.kr",
    ] {
        office.issue("probe", subject, "clientAuth");
        let args = ["x509", "-in", "probe.pem", "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb,utf8"];
        let output = Command::new("openssl").args(args).current_dir(office.0.path()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed = printed.strip_prefix("subject=").unwrap().trim_end_matches('\n').to_string();
        let der = certificates(&office.path("probe.pem")).unwrap()[0].to_vec();
        assert_eq!(certificate::subject(&der).unwrap(), printed, "{subject}");
        // Whatever is cut off is no certificate, and nothing is read past the end.
        for n in (0..der.len().min(400)).step_by(7) {
            let _ = certificate::subject(&der[..n]);
        }
        let mut broken = der.clone();
        for i in 0..der.len().min(400) {
            broken[i] ^= 0xff;
            let _ = certificate::subject(&broken);
            broken[i] ^= 0xff;
        }
    }
}

#[test]
fn files_that_are_wrong_are_named() {
    let Some(office) = Office::new() else { return };
    let wrong = |settings: TlsSettings| Acceptor::open(&settings).err().expect("refused").to_string();
    let with_key = |name: &str| TlsSettings { key: office.path(name), ..office.settings(None) };
    assert!(wrong(with_key("client.key")).contains("server.pem"));
    assert!(wrong(with_key("missing.key")).contains("missing.key"));
    assert!(wrong(with_key("ca.pem")).contains("ca.pem"));
    std::fs::set_permissions(office.path("server.key"), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(wrong(office.settings(None)).contains("others than its owner can use it (mode 0644)"));
    let empty = TlsSettings { certificate: office.path("ext"), ..office.settings(None) };
    assert!(wrong(empty).contains("no certificate"));
}
