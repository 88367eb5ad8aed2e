//! Certificates for one run, made by `openssl`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::command;

const NEW_KEY: &str = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj";

/// Makes in a folder `ca.crt`, `server.crt` and `server.key` for this machine, and `other.crt`, which vouches for nothing.
pub(super) fn make(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for name in ["ca", "other"] {
        let files = format!("-keyout {name}.key -out {name}.crt");
        openssl(folder, &format!("{NEW_KEY} /CN={name} -x509 -days 2 {files} -addext keyUsage=critical,keyCertSign"));
    }
    openssl(folder, &format!("{NEW_KEY} /CN=localhost -keyout server.key -out server.csr"));
    let names = "subjectAltName = IP:127.0.0.1, DNS:localhost\nbasicConstraints = CA:FALSE\n";
    fs::write(folder.join("names"), names).unwrap();
    openssl(
        folder,
        "x509 -req -days 2 -in server.csr -extfile names -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt",
    );
    // The server refuses a key that others may read.
    let key = folder.join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    command::give(&key);
}

fn openssl(folder: &Path, words: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(words.split(' ')).current_dir(folder);
    command::must(openssl);
}
