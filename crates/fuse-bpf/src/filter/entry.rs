//! Entry blocks: what a lookup postfilter attaches to the entry that was found (spec section 9.4).

use std::ffi::CStr;

use crate::abi::{entry, word};
use crate::errno::Errno;

/// Who wrote blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A program: a block of type 0 ends the list, and a descriptor means nothing.
    Program,
    /// The daemon: the list is as long as its bytes.
    Daemon,
}

/// What is done with one property of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Action<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// The entry has none.
    Remove,
    /// The entry gets this one.
    Set(T),
}

/// What is done with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actions {
    /// With its backing object. The descriptor comes beside the blocks.
    pub backing: Action<()>,
    /// With its program set.
    pub bpf: Action<String>,
}

/// Reads blocks.
///
/// # Errors
///
/// `EINVAL` for anything section 9.4 has no meaning for, and for a backing object named by a program.
pub fn parse(bytes: &[u8], author: Author) -> Result<Actions, Errno> {
    if !bytes.len().is_multiple_of(entry::BLOCK) || bytes.len() > entry::BLOCK * entry::MAX {
        return Err(Errno::EINVAL);
    }
    let mut actions = Actions::default();
    for block in bytes.chunks_exact(entry::BLOCK) {
        let kind = word(block, 0);
        if (kind, author) == (0, Author::Program) {
            break;
        }
        if word(block, 4) != 0 {
            return Err(Errno::EINVAL);
        }
        match (kind, author) {
            (entry::REMOVE_BPF, _) => put(&mut actions.bpf, Action::Remove)?,
            (entry::BPF, _) => {
                let name = CStr::from_bytes_until_nul(&block[8..]).map_err(|_| Errno::EINVAL)?;
                let name = name.to_str().map_err(|_| Errno::EINVAL)?;
                put(&mut actions.bpf, Action::Set(name.to_owned()))?;
            }
            (entry::REMOVE_BACKING, _) => put(&mut actions.backing, Action::Remove)?,
            (entry::BACKING, Author::Daemon) => put(&mut actions.backing, Action::Set(()))?,
            // A descriptor written by a program means nothing; backing objects come from a daemon.
            _ => return Err(Errno::EINVAL),
        }
    }
    Ok(actions)
}

/// Sets an action, once.
fn put<T: PartialEq>(slot: &mut Action<T>, action: Action<T>) -> Result<(), Errno> {
    if *slot != Action::Keep {
        return Err(Errno::EINVAL);
    }
    *slot = action;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, name: &[u8]) -> Vec<u8> {
        let mut block = kind.to_ne_bytes().to_vec();
        block.extend([0; 4]);
        block.extend(name);
        block.resize(entry::BLOCK, 0);
        block
    }

    #[test]
    fn each_kind_means_what_it_says() {
        let both = [block(entry::BPF, b"other\0"), block(entry::REMOVE_BACKING, b"")].concat();
        let actions = parse(&both, Author::Program).unwrap();
        assert_eq!(actions, Actions { backing: Action::Remove, bpf: Action::Set("other".into()) });
        let one = parse(&block(entry::REMOVE_BPF, b""), Author::Daemon).unwrap();
        assert_eq!(one, Actions { backing: Action::Keep, bpf: Action::Remove });
        assert_eq!(parse(b"", Author::Daemon), Ok(Actions::default()));
    }

    #[test]
    fn a_zero_ends_the_list_of_a_program_only() {
        let list = [block(0, b""), block(entry::REMOVE_BPF, b"")].concat();
        assert_eq!(parse(&list, Author::Program), Ok(Actions::default()));
        assert_eq!(parse(&list, Author::Daemon), Err(Errno::EINVAL));
    }

    #[test]
    fn a_backing_object_comes_from_a_daemon() {
        let backing = block(entry::BACKING, b"");
        assert_eq!(parse(&backing, Author::Program), Err(Errno::EINVAL));
        assert_eq!(parse(&backing, Author::Daemon).unwrap().backing, Action::Set(()));
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let mut unused = block(entry::REMOVE_BPF, b"");
        unused[4] = 1;
        let twice = [block(entry::REMOVE_BPF, b""), block(entry::BPF, b"x\0")].concat();
        let three =
            [block(entry::REMOVE_BPF, b""), block(entry::REMOVE_BACKING, b""), block(0, b"")].concat();
        for bad in [&block(9, b"")[..], &unused, &twice, &three, &[0; 23], &block(entry::BPF, &[b'x'; 16])] {
            assert_eq!(parse(bad, Author::Daemon), Err(Errno::EINVAL), "{bad:?}");
        }
    }
}
