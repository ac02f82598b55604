//! The bits of NtGlobalFlag and the names that gflags has for them.

/// Bit, gflags abbreviation, and the words that gflags prints. Source: the gflags flag table of the Windows debugger
/// documentation.
pub const FLAGS: [(u32, &str, &str); 32] = [
    (0x0000_0001, "soe", "stop on exception"),
    (0x0000_0002, "sls", "show loader snaps"),
    (0x0000_0004, "dic", "debug initial command"),
    (0x0000_0008, "shg", "stop on hung GUI"),
    (0x0000_0010, "htc", "enable heap tail checking"),
    (0x0000_0020, "hfc", "enable heap free checking"),
    (0x0000_0040, "hpc", "enable heap parameter checking"),
    (0x0000_0080, "hvc", "enable heap validation on call"),
    (0x0000_0100, "vrf", "enable application verifier"),
    (0x0000_0200, "sse", "enable silent process exit monitoring"),
    (0x0000_0400, "ptg", "enable pool tagging"),
    (0x0000_0800, "htg", "enable heap tagging"),
    (0x0000_1000, "ust", "create user mode stack trace database"),
    (0x0000_2000, "kst", "create kernel mode stack trace database"),
    (0x0000_4000, "otl", "maintain a list of objects for each type"),
    (0x0000_8000, "htd", "enable heap tagging by DLL"),
    (0x0001_0000, "dse", "disable stack extension"),
    (0x0002_0000, "d32", "enable debugging of Win32 subsystem"),
    (0x0004_0000, "ksl", "enable loading of kernel debugger symbols"),
    (0x0008_0000, "dps", "disable paging of kernel stacks"),
    (0x0010_0000, "scb", "enable system critical breaks"),
    (0x0020_0000, "dhc", "disable heap coalesce on free"),
    (0x0040_0000, "ece", "enable close exception"),
    (0x0080_0000, "eel", "enable exception logging"),
    (0x0100_0000, "eot", "enable object handle type tagging"),
    (0x0200_0000, "hpa", "enable page heap"),
    (0x0400_0000, "dwl", "debug WinLogon"),
    (0x0800_0000, "ddp", "disable kernel mode DbgPrint output"),
    (0x1000_0000, "cse", "early critical section event creation"),
    (0x2000_0000, "sue", "stop on unhandled user-mode exception"),
    (0x4000_0000, "bhd", "enable bad handles detection"),
    (0x8000_0000, "dpd", "disable protected DLL verification"),
];

/// The user-mode stack trace database.
pub const UST: u32 = 0x1000;

/// The abbreviations of the bits that are set, lowest first.
pub fn names(value: u32) -> Vec<String> {
    set_flags(value).map(|(_, name, _)| (*name).to_owned()).collect()
}

/// The words for the bits that are set, lowest first.
pub fn descriptions(value: u32) -> Vec<String> {
    set_flags(value).map(|(_, name, words)| format!("{name} - {words}")).collect()
}

fn set_flags(value: u32) -> impl Iterator<Item = &'static (u32, &'static str, &'static str)> {
    FLAGS.iter().filter(move |(bit, _, _)| value & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_gflags_names() {
        assert_eq!(names(0x1000), ["ust"]);
        assert_eq!(names(0x0200_0070), ["htc", "hfc", "hpc", "hpa"]);
        assert_eq!(names(0xc000_0000), ["bhd", "dpd"]);
        assert_eq!(names(0), Vec::<String>::new());
    }
}
