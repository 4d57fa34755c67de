//! Replays every input that once broke a parser of foreign bytes.

use tests::fuzz::{regressions, target_named};

#[test]
fn no_kept_input_breaks_its_target_again() {
    let kept = regressions().unwrap();
    assert!(!kept.is_empty(), "the folder of kept inputs was not found");
    for regression in kept {
        let path = regression.path.display();
        let target = target_named(&regression.target);
        let target = target.unwrap_or_else(|| panic!("{path}: its folder is not a target"));
        println!("{path}");
        (target.run)(&regression.input);
    }
}
