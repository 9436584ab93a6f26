use std::fs;
use std::os::unix::fs::symlink;

use super::super::testing::{Folder, day, days, keeper, texts};
use super::*;

fn write(folder: &Path, texts: &Texts) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("tls.crt"), &texts.cert).unwrap();
    fs::write(folder.join("tls.key"), &texts.key).unwrap();
    fs::write(folder.join("ca.crt"), &texts.ca).unwrap();
}

/// As a kubelet does: files are links through `..data`, and that is swapped by a rename.
struct Mount(Folder);

impl Mount {
    fn new(test: &str) -> Self {
        let mount = Self(Folder::new(test));
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            let target = Path::new("..data").join(name);
            symlink(target, mount.0.path().join(name)).unwrap();
        }
        mount
    }

    fn swap(&self, version: &str, texts: &Texts) {
        let root = self.0.path();
        write(&root.join(version), texts);
        symlink(version, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    }
}

fn serves(keeper: &Keeper, texts: &Texts) -> bool {
    let pair = keeper.read(texts).unwrap();
    keeper.served.current().is_some_and(|it| it.is(&pair))
}

#[test]
fn a_swapped_link_is_seen() {
    let (keeper, mount) = (keeper(), Mount::new("swap"));
    let mut source = Source::new(mount.0.path().to_owned());
    source.look(&keeper, None, day(1));
    assert!(keeper.served.current().is_none());
    let (first, second) = (texts(day(1), days(9)), texts(day(1), days(9)));
    mount.swap("..v1", &first);
    source.look(&keeper, None, day(1));
    assert!(serves(&keeper, &first));
    mount.swap("..v2", &second);
    source.look(&keeper, None, day(1));
    assert!(serves(&keeper, &second));
    assert!(source.trouble.is_none());
}

#[test]
fn the_last_good_one_stays_whatever_comes() {
    let (keeper, mount) = (keeper(), Mount::new("good"));
    let mut source = Source::new(mount.0.path().to_owned());
    let good = texts(day(1), days(9));
    mount.swap("..v1", &good);
    source.look(&keeper, None, day(2));
    let other = texts(day(1), days(9));
    let bad = [
        (
            Texts {
                key: other.key.clone(),
                ..good.clone()
            },
            "tls.key does not belong to tls.crt",
        ),
        (
            Texts {
                cert: other.cert[..200].to_vec(),
                ..other.clone()
            },
            "tls.crt",
        ),
        (texts(day(0), days(1)), "tls.crt has expired"),
        (
            texts(day(5), days(9)),
            "tls.crt is not valid yet: is the clock right?",
        ),
    ];
    for (version, (texts, why)) in bad.iter().enumerate() {
        mount.swap(&format!("..bad{version}"), texts);
        source.look(&keeper, None, day(2));
        assert!(serves(&keeper, &good), "{why}");
        let trouble = source.trouble.clone().unwrap();
        assert!(trouble.contains(why), "{trouble}");
    }
    fs::remove_file(mount.0.path().join("..data")).unwrap();
    source.look(&keeper, None, day(2));
    assert!(serves(&keeper, &good));
}

#[test]
fn one_that_came_too_early_is_served_when_its_time_comes() {
    let (keeper, mount) = (keeper(), Mount::new("early"));
    let mut source = Source::new(mount.0.path().to_owned());
    let early = texts(day(5), days(9));
    mount.swap("..v1", &early);
    source.look(&keeper, None, day(2));
    assert!(keeper.served.current().is_none());
    source.look(&keeper, None, day(5));
    assert!(serves(&keeper, &early));
}

#[test]
fn a_new_one_is_served_once_api_servers_trust_it() {
    let (keeper, mount) = (keeper(), Mount::new("trust"));
    let mut source = Source::new(mount.0.path().to_owned());
    let (first, second) = (texts(day(1), days(9)), texts(day(1), days(9)));
    let authority = |texts: &Texts| Authority::read_all(&texts.ca).unwrap();
    let old = authority(&first);
    let both = [old.clone(), authority(&second)].concat();
    mount.swap("..v1", &first);
    source.look(&keeper, Some(&[]), day(2));
    assert!(serves(&keeper, &first), "there is no other");
    mount.swap("..v2", &second);
    source.look(&keeper, Some(&old), day(2));
    source.look(&keeper, Some(&both), day(2));
    assert!(serves(&keeper, &first));
    source.look(&keeper, Some(&both), day(2) + Duration::from_mins(1));
    assert!(serves(&keeper, &second));
}
