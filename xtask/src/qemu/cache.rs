//! The cache outside the repository: what a guest has that is not ours, fetched or compiled once.
//!
//! It is `DIR/ARCH/NAME/VERSION/`. Beside what is in such a directory lies the recipe: what decides on the content
//! and is not in the name. Everything is made under another name and moved when it is complete.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::files;

const RECIPE: &str = "recipe";

/// The cache's directory.
pub struct Cache {
    dir: PathBuf,
}

/// One of the things that a guest is made of.
pub struct Part {
    pub name: &'static str,
    /// The architecture, as targets/ names it.
    pub arch: String,
    /// A part with another recipe is made again.
    pub recipe: String,
}

impl Cache {
    pub fn find() -> Result<Cache> {
        let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(home)) => Path::new(&home).join(".cache"),
            (None, None) => {
                return Err("neither XDG_CACHE_HOME nor HOME says where a cache may be".to_string());
            }
        };
        Ok(Cache { dir: base.join("bsbf/qemu") })
    }

    /// Where apt keeps its package lists for one architecture.
    pub fn lists(&self, arch: &str) -> PathBuf {
        self.dir.join(arch).join("apt")
    }

    /// The directory of this version of the part; `make` fills it if it is not there. It is the newest version then,
    /// and older ones are dropped: some have hundreds of megabytes.
    pub fn get(&self, part: &Part, version: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let dir = self.versions(part);
        let finished = dir.join(version);
        if has_recipe(&finished, part) {
            return Ok(finished);
        }
        println!("xtask: {}: making {} {version} for the cache", part.arch, part.name);
        let unfinished = dir.with_extension("unfinished");
        files::empty_dir(&unfinished)?;
        make(&unfinished).map_err(|why| {
            // It may be what has filled the disk.
            let _ = files::remove_dir(&unfinished);
            format!("{} {version}: {why}", part.name)
        })?;
        files::write(&unfinished.join(RECIPE), &part.recipe)?;
        // Moved before it is removed, so that half a directory is never taken for a part.
        let outdated = dir.with_extension("outdated");
        files::remove_dir(&outdated)?;
        if dir.exists() {
            files::rename(&dir, &outdated)?;
        }
        files::rename(&unfinished, &finished)?;
        files::remove_dir(&outdated)?;
        Ok(finished)
    }

    /// The newest version of each part that was ever here: what there is without a network. `why` is what the network
    /// did instead.
    pub fn newest<const N: usize>(&self, parts: [&Part; N], why: &str) -> Result<[PathBuf; N]> {
        let found = parts.map(|part| {
            let versions = files::list(&self.versions(part)).unwrap_or_default();
            versions.into_iter().find(|dir| has_recipe(dir, part))
        });
        if found.iter().any(Option::is_none) {
            return Err(format!("{why}; and the cache {} has no complete set", self.dir.display()));
        }
        eprintln!("xtask: using what is in the cache, for the newest versions are not known: {why}");
        Ok(found.map(Option::unwrap_or_default))
    }

    fn versions(&self, part: &Part) -> PathBuf {
        self.dir.join(&part.arch).join(part.name)
    }
}

fn has_recipe(dir: &Path, part: &Part) -> bool {
    files::read(&dir.join(RECIPE)).is_ok_and(|recipe| recipe == part.recipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &'static str, recipe: &str) -> Part {
        Part { name, arch: "mips".to_string(), recipe: recipe.to_string() }
    }

    /// Runs `test` with an empty cache.
    fn with_cache(name: &str, test: impl FnOnce(&Cache)) {
        let dir = std::env::temp_dir().join(format!("xtask-cache-{name}-{}", std::process::id()));
        files::empty_dir(&dir).unwrap();
        test(&Cache { dir: dir.clone() });
        files::remove_dir(&dir).unwrap();
    }

    fn never(_: &Path) -> Result<()> {
        Err("made again".to_string())
    }

    #[test]
    fn a_part_is_made_once_for_each_version_and_recipe() {
        with_cache("once", |cache| {
            let one =
                cache.get(&part("linux", "a"), "6.1", |dir| files::write(&dir.join("kernel"), "1")).unwrap();
            assert_eq!(files::read(&one.join("kernel")).unwrap(), "1");
            assert_eq!(cache.get(&part("linux", "a"), "6.1", never).unwrap(), one);
            assert_eq!(cache.get(&part("linux", "b"), "6.1", never).unwrap_err(), "linux 6.1: made again");
            assert!(cache.get(&part("linux", "a"), "6.2", never).is_err());
        });
    }

    #[test]
    fn what_could_not_be_made_leaves_the_older_version() {
        with_cache("failed", |cache| {
            let old = cache.get(&part("linux", ""), "6.1", |_| Ok(())).unwrap();
            assert!(cache.get(&part("linux", ""), "6.2", never).is_err());
            assert_eq!(cache.newest([&part("linux", "")], "no network").unwrap(), [old]);
        });
    }

    #[test]
    fn without_a_network_the_newest_version_is_used_if_every_part_is_there() {
        with_cache("newest", |cache| {
            let (linux, busybox) = (part("linux", "a"), part("busybox", ""));
            for version in ["6.1.99", "6.1.176"] {
                cache.get(&linux, version, |_| Ok(())).unwrap();
            }
            let why = cache.newest([&linux, &busybox], "no network").unwrap_err();
            assert!(why.starts_with("no network; and the cache "), "{why}");
            cache.get(&busybox, "1.35", |_| Ok(())).unwrap();
            let found = cache.newest([&linux, &busybox], "no network").unwrap();
            assert!(found[0].ends_with("mips/linux/6.1.176") && found[1].ends_with("mips/busybox/1.35"));
            assert!(cache.newest([&part("linux", "b"), &busybox], "no network").is_err(), "another recipe");
        });
    }
}
