use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::SanType;
use zt_core::clock::{Clock, SystemClock};
use zt_mtls::{
    credentials::{Credentials, Files, Reloader},
    testing::{TestCa, TestCert, pem, svid_params},
};

use crate::{Result, shop::write_private};

/// The name that clients dial which know nothing of SPIFFE.
pub(crate) const LOCALHOST: &str = "localhost";

/// Who vouches for workloads, and keeps their folders.
#[derive(Debug)]
pub struct Authority {
    ca: TestCa,
    folder: PathBuf,
    folders: Vec<PathBuf>,
    revoked: Vec<Vec<u8>>,
}

/// A workload with its certificate. Its folder is looked at for as long as this is there.
#[derive(Debug)]
pub struct Workload {
    /// What it shows, and whom it trusts.
    pub credentials: Credentials,
    /// Its certificate and key, as it has them at start.
    pub cert: TestCert,
    /// Where they lie: `tls.crt`, `tls.key`, `bundle.pem`, `revoked.crl`.
    pub folder: PathBuf,
    reloader: Reloader,
}

impl Authority {
    /// Keeps folders below `folder`.
    ///
    /// # Errors
    ///
    /// When that cannot be made.
    pub fn new(ca: TestCa, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            ca,
            folder: folder.to_owned(),
            folders: Vec::new(),
            revoked: Vec::new(),
        })
    }

    /// The authority itself.
    #[must_use]
    pub const fn ca(&self) -> &TestCa {
        &self.ca
    }

    /// A new workload of its trust domain: `path` begins with a slash.
    ///
    /// # Errors
    ///
    /// When its files cannot be written or read.
    pub async fn workload(&mut self, path: &str) -> Result<Workload> {
        let domain = self.ca.trust_domain().clone();
        let folder = self.folder.join(path.trim_start_matches('/'));
        fs::create_dir_all(&folder)?;
        let cert = self.renewed(path, &folder)?;
        put(&folder, "bundle.pem", &pem("CERTIFICATE", self.ca.root()))?;
        put(&folder, "revoked.crl", &self.list()?)?;
        let (credentials, reloader) = Files::new(folder.join("tls.crt"), folder.join("tls.key"))
            .bundle(domain, folder.join("bundle.pem"))
            .revocation_list(folder.join("revoked.crl"))
            .load()
            .await?;
        self.folders.push(folder.clone());
        Ok(Workload {
            credentials,
            cert,
            folder,
            reloader,
        })
    }

    /// A new certificate and key for the workload with this folder.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn renew(&self, folder: &Path) -> Result<TestCert> {
        let below = folder.strip_prefix(&self.folder)?;
        self.renewed(&format!("/{}", below.display()), folder)
    }

    fn renewed(&self, path: &str, folder: &Path) -> Result<TestCert> {
        let cert = self.certificate(path)?;
        put(folder, "tls.crt", &cert.chain_pem())?;
        put(folder, "tls.key", cert.key_pem())?;
        Ok(cert)
    }

    /// A certificate for `path`, in nobody's folder; outside clients can dial it too, by `localhost`.
    ///
    /// # Errors
    ///
    /// When there is no such name.
    pub fn certificate(&self, path: &str) -> Result<TestCert> {
        let mut params = svid_params(&format!("spiffe://{}{path}", self.ca.trust_domain()));
        params
            .subject_alt_names
            .push(SanType::DnsName(LOCALHOST.try_into()?));
        Ok(self.ca.issue(params))
    }

    /// Puts a list with this certificate into every workload's folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn revoke(&mut self, cert: &TestCert) -> Result<()> {
        self.revoked.push(cert.serial.clone());
        let list = self.list()?;
        for folder in &self.folders {
            put(folder, "revoked.crl", &list)?;
        }
        Ok(())
    }

    fn list(&self) -> Result<String> {
        let day = Duration::from_secs(86_400);
        let list = self
            .ca
            .list_of_serials(&self.revoked, SystemClock.now()?, day);
        Ok(pem("X509 CRL", &list))
    }
}

impl Workload {
    /// Looks at its folder now rather than within a second.
    ///
    /// # Errors
    ///
    /// When what is there cannot be used.
    pub async fn look(&self) -> Result<()> {
        self.reloader.reload().await?;
        Ok(())
    }
}

/// Renames a file into place, so that nobody sees half of it.
fn put(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = folder.join(format!(".{name}.new"));
    write_private(&new, text)?;
    fs::rename(new, folder.join(name))
}
