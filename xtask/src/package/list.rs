//! openwrt-feed/packages.toml: which packages there are, and what is in each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Deserialize;

use super::ipk::{Control, Ipk};
use super::tarball::{Entry, Kind};
use crate::Result;

const LIST: &str = "openwrt-feed/packages.toml";
const FILES: &str = "openwrt-feed/files";

/// OpenWrt's default scripts find what a package has in /etc/init.d and /etc/uci-defaults, enable and start it, and
/// stop and disable it before it goes (its lib/functions.sh). These are the bodies that its build writes.
const POSTINST: &str = "#!/bin/sh
[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_postinst $0 $@
";
const PRERM: &str = "#!/bin/sh
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_prerm $0 $@
";

/// The list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    source: String,
    license: String,
    section: String,
    release: u32,
    package: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    description: String,
    /// Where the program goes, if it is in this package: its links go beside it.
    program: Option<String>,
    #[serde(default)]
    depends: Vec<String>,
    #[serde(default)]
    conflicts: Vec<String>,
    #[serde(default)]
    provides: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    conffiles: Vec<String>,
}

impl List {
    /// Reads the list of the source tree.
    pub fn read(root: &Path) -> Result<List> {
        let path = root.join(LIST);
        let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        toml::from_str(&text).map_err(|e| format!("{LIST}: {e}"))
    }

    /// The packages for an architecture, whose program is `program` with the commands `names`.
    pub fn packages(
        &self,
        root: &Path,
        names: &[String],
        program: &[u8],
        arch: &str,
        epoch: u64,
    ) -> Result<Vec<Ipk>> {
        let version = format!("{}-r{}", version(root)?, self.release);
        let make = |package: &Package| {
            let mut files = Vec::new();
            if let Some(path) = &package.program {
                files.push(Entry { path: path.clone(), mode: 0o755, kind: Kind::File(program.to_vec()) });
                let (dir, target) =
                    path.rsplit_once('/').ok_or_else(|| format!("{LIST}: '{path}' has no folder"))?;
                files.extend(names.iter().map(|name| Entry {
                    path: format!("{dir}/{name}"),
                    mode: 0o777,
                    kind: Kind::Link(target.to_string()),
                }));
            }
            for path in &package.files {
                files.push(file(&root.join(FILES), path)?);
            }
            if let Some(lost) = package.conffiles.iter().find(|path| !package.files.contains(path)) {
                return Err(format!("{LIST}: '{lost}' is no file of {}", package.name));
            }
            Ok(Ipk {
                control: Control {
                    package: package.name.clone(),
                    version: version.clone(),
                    depends: package.depends.clone(),
                    conflicts: package.conflicts.clone(),
                    provides: package.provides.clone(),
                    source: self.source.clone(),
                    license: self.license.clone(),
                    section: self.section.clone(),
                    epoch,
                    architecture: if package.program.is_some() { arch } else { "all" }.to_string(),
                    description: package.description.trim().to_string(),
                },
                files,
                conffiles: package.conffiles.iter().map(|path| format!("/{path}")).collect(),
                scripts: vec![("postinst".into(), POSTINST.into()), ("prerm".into(), PRERM.into())],
            })
        };
        self.package.iter().map(make).collect()
    }
}

/// A file of the feed. Of its mode git keeps whether it is executable; the rest is as OpenWrt installs such files.
fn file(files: &Path, path: &str) -> Result<Entry> {
    let from = files.join(path);
    let cannot = |e| format!("cannot read {}: {e}", from.display());
    let content = fs::read(&from).map_err(cannot)?;
    let executable = fs::metadata(&from).map_err(cannot)?.permissions().mode() & 0o100 != 0;
    let mode = match (executable, path.starts_with("etc/config/")) {
        (true, _) => 0o755,
        // INSTALL_CONF
        (_, true) => 0o600,
        _ => 0o644,
    };
    Ok(Entry { path: path.to_string(), mode, kind: Kind::File(content) })
}

/// The product's version, from its Cargo.toml.
fn version(root: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Manifest {
        package: About,
    }
    #[derive(Deserialize)]
    struct About {
        version: String,
    }
    let path = root.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(manifest.package.version)
}
