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
    pub license: String,
    pub section: String,
    pub release: u32,
    pub package: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: String,
    /// In one line, for the menu of OpenWrt's build.
    pub title: String,
    pub description: String,
    /// What Teltonika's Package Manager calls it: it lists these alone, the others come with them.
    pub tlt_name: Option<String>,
    /// Where the program goes, if it is in this package: its links go beside it.
    pub program: Option<String>,
    /// Commands that it starts, each a row of the program's table: it needs the package that has the program.
    #[serde(default)]
    commands: Vec<String>,
    /// What it needs of the system.
    #[serde(default)]
    pub depends: Vec<String>,
    /// The same on RUTOS, in the place of these.
    #[serde(default)]
    pub rutos_depends: Vec<String>,
    #[serde(default)]
    pub conflicts: Vec<String>,
    #[serde(default)]
    pub provides: Vec<String>,
    #[serde(default)]
    pub files: Vec<String>,
    #[serde(default)]
    pub conffiles: Vec<String>,
    /// What is done once it is installed or upgraded: by opkg before OpenWrt's default script starts services, by apk after.
    pub postinst: Option<String>,
    /// What is done once it has gone.
    pub postrm: Option<String>,
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
            let depends = self.depends(package, names)?;
            let mut scripts = vec![("postinst".into(), POSTINST.into()), ("prerm".into(), PRERM.into())];
            scripts.extend(package.postinst.as_deref().map(|text| ("postinst-pkg".into(), script(text))));
            scripts.extend(package.postrm.as_deref().map(|text| ("postrm".into(), script(text))));
            if let Some(lost) = package.conffiles.iter().find(|path| !package.files.contains(path)) {
                return Err(format!("{LIST}: '{lost}' is no file of {}", package.name));
            }
            Ok(Ipk {
                control: Control {
                    package: package.name.clone(),
                    version: version.clone(),
                    depends,
                    conflicts: package.conflicts.clone(),
                    provides: package.provides.clone(),
                    source: self.source.clone(),
                    license: self.license.clone(),
                    section: self.section.clone(),
                    epoch,
                    vendor: Vec::new(),
                    architecture: if package.program.is_some() { arch } else { "all" }.to_string(),
                    description: package.description.trim().to_string(),
                },
                files,
                conffiles: package.conffiles.iter().map(|path| format!("/{path}")).collect(),
                scripts,
            })
        };
        self.package.iter().map(make).collect()
    }
}

impl List {
    /// What a package needs: what the list says, and the program if it starts one of the commands `names`.
    pub fn depends(&self, package: &Package, names: &[String]) -> Result<Vec<String>> {
        let mut depends = package.depends.clone();
        if let Some(lost) = package.commands.iter().find(|command| !names.contains(command)) {
            return Err(format!("{LIST}: {} starts '{lost}', which is no command", package.name));
        }
        if !package.commands.is_empty() {
            let program = self.package.iter().find(|package| package.program.is_some());
            let program = program.ok_or_else(|| format!("{LIST}: no package has the program"))?;
            depends.push(program.name.clone());
        }
        Ok(depends)
    }
}

/// A script of a package, from its body in the list.
pub fn script(body: &str) -> String {
    format!("#!/bin/sh\n{}\n", body.trim())
}

#[cfg(test)]
impl List {
    /// All commands that packages start: a table of commands by which the list is right.
    pub fn started(&self) -> Vec<String> {
        let mut commands: Vec<String> =
            self.package.iter().flat_map(|package| package.commands.clone()).collect();
        commands.sort();
        commands.dedup();
        commands
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
pub fn version(root: &Path) -> Result<String> {
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
