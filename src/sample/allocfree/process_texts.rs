//! Names and texts of the process: its parameters, environment and handles.

use crate::sample::minidump_file::Handle;
use crate::sample::process_memory::ParameterTexts;

/// Command line, paths and environment of AllocFree.exe.
pub fn parameter_texts() -> ParameterTexts {
    let environment = [
        "ALLUSERSPROFILE=C:\\ProgramData",
        "APPDATA=C:\\Users\\Training\\AppData\\Roaming",
        "CommonProgramFiles=C:\\Program Files\\Common Files",
        "COMPUTERNAME=MODEL",
        "ComSpec=C:\\Windows\\system32\\cmd.exe",
        "HOMEDRIVE=C:",
        "HOMEPATH=\\Users\\Training",
        "NUMBER_OF_PROCESSORS=4",
        "OS=Windows_NT",
        "Path=C:\\Windows\\system32;C:\\Windows;C:\\Windows\\System32\\Wbem",
        "PATHEXT=.COM;.EXE;.BAT;.CMD",
        "PROCESSOR_ARCHITECTURE=AMD64",
        "PROMPT=$P$G",
        "SystemDrive=C:",
        "SystemRoot=C:\\Windows",
        "TEMP=C:\\Users\\Training\\AppData\\Local\\Temp",
        "USERNAME=Training",
        "windir=C:\\Windows",
    ];
    ParameterTexts {
        image_path: r"C:\AllocFree\AllocFree.exe".to_owned(),
        command_line: "AllocFree.exe".to_owned(),
        current_directory: "C:\\AllocFree\\".to_owned(),
        dll_path: r"C:\AllocFree;C:\Windows\system32;C:\Windows\system;C:\Windows;.".to_owned(),
        window_title: r"C:\AllocFree\AllocFree.exe".to_owned(),
        desktop: r"Winsta0\Default".to_owned(),
        environment: environment.map(str::to_owned).to_vec(),
    }
}

/// The handles of a small console program.
pub fn handles() -> Vec<Handle> {
    let named: [(u64, &str, &str, u32); 12] = [
        (0x4, "Directory", r"\KnownDlls", 0x3),
        (0x8, "File", r"\Device\HarddiskVolume1\AllocFree", 0x10_0020),
        (0xc, "Key", r"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Control\Session Manager", 0x1),
        (0x10, "ALPC Port", "", 0x1f_0001),
        (0x14, "Key", r"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Control\Nls\Sorting\Versions", 0x2_0019),
        (0x18, "Key", r"\REGISTRY\MACHINE", 0x2_0019),
        (0x1c, "Event", "", 0x1f_0003),
        (0x20, "EtwRegistration", "", 0x804),
        (0x24, "EtwRegistration", "", 0x804),
        (0x28, "Directory", r"\Sessions\1\BaseNamedObjects", 0xf),
        (0x2c, "Event", "", 0x21_0003),
        (0x30, "Thread", "", 0x1f_ffff),
    ];
    let to_handle = |(value, type_name, object_name, granted_access): (u64, &str, &str, u32)| Handle {
        value,
        type_name: Some(type_name.to_owned()),
        object_name: Some(object_name.to_owned()).filter(|name| !name.is_empty()),
        granted_access,
        handle_count: 2,
        pointer_count: 3,
        ..Handle::default()
    };
    named.into_iter().map(to_handle).collect()
}
