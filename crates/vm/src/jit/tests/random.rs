//! Random programs in both engines. `JIT_RANDOM_PROGRAMS` sets how many, `JIT_RANDOM_SEED` which ones.

use super::generate::Generator;
use super::setting::setting;
use super::*;

#[test]
fn random_programs_do_the_same() {
    let seed = setting("JIT_RANDOM_SEED", 0x1234_5678_9abc_def1) | 1;
    let mut generator = Generator { state: seed, v4: true, ordered: true };
    let total = setting("JIT_RANDOM_PROGRAMS", 1500);
    let (mut interpreter, mut engine) = (Worker::new(0), Worker::new(0));
    let mut length = 0;
    for n in 0..total {
        let program = linked(generator.program());
        length += program.insns.len();
        let expected = interpreter.run(&program, &[], &mut TestHost::default(), DEFAULT_BUDGET).result;
        let compiled = compiled(&program);
        let got = engine.run_compiled(&compiled, &[], &mut TestHost::default(), DEFAULT_BUDGET).result;
        assert_eq!(got, expected, "program {n} of seed {seed}: {:?}", program.insns);
    }
    println!("{total} programs agree, {length} instructions");
}
