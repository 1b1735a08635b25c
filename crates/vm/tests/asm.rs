//! The assembler and the disassembler are inverses of each other.

use fuse_bpf_vm::asm::AsmError;
use fuse_bpf_vm::asm::AsmProblem;
use fuse_bpf_vm::asm::assemble;
use fuse_bpf_vm::disasm::disassemble;
use fuse_bpf_vm::insn::Insn;
use fuse_bpf_vm::validate;
use proptest::prelude::*;

/// One line of each form, as the disassembler writes it, with its encoding.
const FORMS: &[(&str, u64)] = &[
    ("r0 = 0", 0x0000_0000_0000_00b7),
    ("w1 += w2", 0x0000_0000_0000_210c),
    ("r1 = -r1", 0x0000_0000_0000_0187),
    ("r3 s/= r2", 0x0000_0000_0001_233f),
    ("w3 s%= -7", 0xffff_fff9_0001_0394),
    ("r1 s>>= 3", 0x0000_0003_0000_01c7),
    ("r1 = (s8)r2", 0x0000_0000_0008_21bf),
    ("r1 = (s32)r2", 0x0000_0000_0020_21bf),
    ("w1 = (s16)w2", 0x0000_0000_0010_21bc),
    ("r1 = be16 r1", 0x0000_0010_0000_01dc),
    ("r1 = le32 r1", 0x0000_0020_0000_01d4),
    ("r1 = bswap64 r1", 0x0000_0040_0000_01d7),
    ("r1 = *(u32 *)(r2 +8)", 0x0000_0000_0008_2161),
    ("r1 = *(s8 *)(r2 -1)", 0x0000_0000_ffff_2191),
    ("*(u64 *)(r10 -8) = r1", 0x0000_0000_fff8_1a7b),
    ("*(u8 *)(r10 -8) = -1", 0xffff_ffff_fff8_0a72),
    ("if r1 s< 5 goto +3", 0x0000_0005_0003_01c5),
    ("if w1 & w2 goto -3", 0x0000_0000_fffd_214e),
    ("goto +3", 0x0000_0000_0003_0005),
    ("gotol -70000", 0xfffe_ee90_0000_0006),
    ("gotox r3", 0x0000_0000_0000_030d),
    ("may_goto +1", 0x0000_0000_0001_00e5),
    ("lock *(u64 *)(r1 +0) += r2", 0x0000_0000_0000_21db),
    ("lock *(u32 *)(r1 +4) ^= w2", 0x0000_00a0_0004_21c3),
    ("r2 = atomic_fetch_add((u64 *)(r1 +0), r2)", 0x0000_0001_0000_21db),
    ("w2 = atomic_fetch_or((u32 *)(r1 +0), w2)", 0x0000_0041_0000_21c3),
    ("r2 = xchg_64(r1 +0, r2)", 0x0000_00e1_0000_21db),
    ("w2 = xchg32_32(r1 +0, w2)", 0x0000_00e1_0000_21c3),
    ("r0 = cmpxchg_64(r1 -8, r0, r2)", 0x0000_00f1_fff8_21db),
    ("w0 = cmpxchg32_32(r1 +0, w0, w2)", 0x0000_00f1_0000_21c3),
    ("r1 = load_acquire((u64 *)(r2 +8))", 0x0000_0100_0008_21db),
    ("w1 = load_acquire((u8 *)(r2 +8))", 0x0000_0100_0008_21d3),
    ("store_release((u16 *)(r2 +8), w1)", 0x0000_0110_0008_12cb),
    ("call 5", 0x0000_0005_0000_0085),
    ("call pc+3", 0x0000_0003_0000_1085),
    ("call pc-3", 0xffff_fffd_0000_1085),
    ("call kfunc#2", 0x0000_0002_0000_2085),
    ("exit", 0x0000_0000_0000_0095),
    (".raw 0x00000000000000ff", 0xff),
];

#[test]
fn every_form_has_its_encoding() {
    for &(text, bits) in FORMS {
        let insns = assemble(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(insns, [Insn::decode(bits.to_le_bytes())], "{text}");
        assert_eq!(disassemble(&insns).trim_end(), text);
    }
}

#[test]
fn wide_loads_take_two_slots() {
    for (text, src, low, high) in [
        ("r1 = 0x1122334455667788 ll", 0, 0x5566_7788, 0x1122_3344),
        ("r1 = map[3] ll", 1, 3, 0),
        ("r1 = map[3][16] ll", 2, 3, 16),
        ("r1 = func pc-9 ll", 4, -9, 0),
    ] {
        let insns = assemble(text).unwrap();
        let first = Insn { code: 0x18, dst: 1, src, off: 0, imm: low };
        assert_eq!(insns, [first, Insn { imm: high, ..Insn::default() }], "{text}");
        assert_eq!(disassemble(&insns).trim_end(), text);
    }
}

#[test]
fn labels_comments_and_loose_spelling() {
    let text = "
        ; counts down
        r1 = 3; r1 is the counter
        r2 = 0xffff ll
    loop: again:
        r1 -= 1         // not r2
        if r1 != 0 goto loop
        w3 = *(u32 *)(r10 - 4)
        w3 = 0xffffffff
        call leaf
        goto end
    leaf: r0 = func leaf ll
        exit
    end: exit";
    assert_eq!(
        disassemble(&assemble(text).unwrap()),
        "r1 = 3\nr2 = 0xffff ll\nr1 -= 1\nif r1 != 0 goto -2\nr3 = *(u32 *)(r10 -4)\nw3 = -1\n\
         call pc+1\ngoto +3\nr0 = func pc-1 ll\nexit\nexit\n"
    );
}

#[test]
fn errors_name_line_and_reason() {
    let problem = |text: &str| assemble(text).unwrap_err();
    assert_eq!(problem("exit\n\nr11 = 1").line, 3);
    let register = AsmProblem::Register { name: "r11".into() };
    assert_eq!(problem("exit\nr11 = 1"), AsmError { line: 2, problem: register });
    assert!(matches!(problem("r1 = 0xffffffff").problem, AsmProblem::Range { value: 0xffff_ffff, .. }));
    assert!(matches!(problem("r1 = *(u8 *)(r2 +40000)").problem, AsmProblem::Range { .. }));
    assert!(matches!(problem("r1 += w2").problem, AsmProblem::Register { .. }));
    assert!(matches!(problem("r1 = w2").problem, AsmProblem::Register { .. }));
    assert_eq!(problem("goto x").problem, AsmProblem::UnknownLabel { name: "x".into() });
    let twice = AsmProblem::DuplicateLabel { name: "x".into() };
    assert_eq!(problem("x:\nx: exit"), AsmError { line: 2, problem: twice });
    for text in ["exit 1", "r1", "r1 = be16 r2", "r0 = cmpxchg_64(r1 +0, r1, r2)", "lock r1", "nop", "goto 3"]
    {
        assert!(matches!(problem(text).problem, AsmProblem::Expected { .. }), "{text}");
    }
    // Letters and multi-byte characters anywhere are an error, not a panic.
    for text in ["é", "r1 = é", "goto +é", "r1 = *(u8 *)(r1 é)", "r1 = +0x", "r1 = --1", "call é"] {
        problem(text);
    }
}

fn slot() -> impl Strategy<Value = Insn> {
    let number = prop_oneof![
        Just(0),
        any::<i32>(),
        -64..64i32,
        prop::sample::select(vec![16, 32, 64, 0x01, 0x40, 0x41, 0x50, 0xa0, 0xe1, 0xf1, 0x100, 0x110])
    ];
    let off = prop_oneof![4 => Just(0), 2 => any::<i16>(), 2 => prop::sample::select(vec![1i16, 8, 16, 32])];
    (any::<u8>(), 0..12u8, prop_oneof![Just(0), 0..12u8], off, number)
        .prop_map(|(code, dst, src, off, imm)| Insn { code, dst, src, off, imm })
}

fn valid() -> impl Strategy<Value = Vec<Insn>> {
    slot().prop_filter_map("not an instruction", |insn| {
        // Clearing what is not used turns most opcodes into valid instructions.
        let tries = [insn, Insn { imm: 0, ..insn }, Insn { src: 0, ..insn }, Insn { imm: 0, off: 0, ..insn }];
        let found = tries.into_iter().find(|i| validate::check_insn(*i).is_ok())?;
        let second = Insn { imm: if matches!(found.src, 0 | 2) { insn.imm } else { 0 }, ..Insn::default() };
        Some(if found.is_wide() { vec![found, second] } else { vec![found] })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn valid_instructions_round_trip(insns in valid()) {
        let text = disassemble(&insns);
        prop_assert!(!text.contains(".raw") && !text.contains('?'), "{text}");
        prop_assert_eq!(assemble(&text).unwrap(), insns);
    }

    #[test]
    fn any_slots_round_trip(
        slots in prop::collection::vec(prop_oneof![slot(), any::<[u8; 8]>().prop_map(Insn::decode)], 0..8)
    ) {
        prop_assert_eq!(assemble(&disassemble(&slots)).unwrap(), slots);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[rw0-9 =+*()a-z_\\-<>&|#\\[\\].:;é]{0,40}") {
        if let Ok(insns) = assemble(&text) {
            prop_assert_eq!(assemble(&disassemble(&insns)).unwrap(), insns);
        }
    }
}
