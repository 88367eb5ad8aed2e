//! Encryption of connections, with the server verified.

use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use craftx_core::{Error, ErrorKind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What makes encrypted connections to servers for which one of these certificates vouches. Reads files.
pub(crate) fn connector(roots: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(file) => add_file(&mut store, file)?,
        // What of them cannot be read vouches for nobody.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "there is no certificate that could vouch for a server")
            .with("key", "`sslrootcert`"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Unexpected, "there is no version of TLS").because(error))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn add_file(store: &mut RootCertStore, file: &Path) -> Result<()> {
    let wrong = |rule: &'static str| {
        Error::new(ErrorKind::ConfigInvalid, rule)
            .with("key", "`sslrootcert`")
            .with("file", format!("`{}`", file.display()))
    };
    let opened = std::fs::File::open(file).map_err(|error| wrong("the certificates cannot be read").because(error))?;
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(opened)) {
        let certificate = certificate.map_err(|_| wrong("the file holds something else than certificates in PEM"))?;
        store.add(certificate).map_err(|_| wrong("a certificate cannot be used"))?;
    }
    Ok(())
}
