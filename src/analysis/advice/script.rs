//! Text of `.cmd` and `.reg` files. What goes in has been let through by `image_name`, or is this program's own.

/// A script that runs the commands one after the other and stops at the first that fails.
pub fn cmd(what: &str, takes_effect: &str, commands: &[String]) -> String {
    let mut lines = vec!["@echo off".to_owned(), "setlocal disabledelayedexpansion".to_owned()];
    lines.extend([comment(what), comment(&format!("takes effect: {takes_effect}"))]);
    for command in commands {
        // So that whoever watches sees what is done.
        lines.push(format!("echo {command}"));
        lines.push(format!("{command} || exit /b 1"));
    }
    lines.push(String::new());
    lines.join("\r\n")
}

/// A remark may not hold what the interpreter expands or takes for the end of the line.
fn comment(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_graphic() && !"%^&|<>!\"".contains(c) { c } else { ' ' }).collect();
    format!("rem {plain}")
}

/// A registry file that sets values of some keys; `None` deletes a value.
pub fn reg(keys: &[String], values: &[(&str, Option<u32>)]) -> String {
    let mut lines = vec!["Windows Registry Editor Version 5.00".to_owned()];
    for key in keys {
        lines.push(String::new());
        lines.push(format!("[{key}]"));
        for (name, value) in values {
            let value = value.map_or_else(|| "-".to_owned(), |value| format!("dword:{value:08x}"));
            lines.push(format!("\"{name}\"={value}"));
        }
    }
    lines.push(String::new());
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_it_does_and_stops_at_a_failure() {
        let text = cmd("switch %x% \"off\" & on\nnow", "at once", &["gflags /i a.exe -ust".to_owned()]);
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[2], "rem switch  x   off    on now");
        assert_eq!(lines[4..], ["echo gflags /i a.exe -ust", "gflags /i a.exe -ust || exit /b 1", ""]);
    }

    #[test]
    fn a_registry_file_sets_and_deletes() {
        let text = reg(&["HKEY_LOCAL_MACHINE\\A".to_owned()], &[("GlobalFlag", Some(0x1000)), ("X", None)]);
        let expect = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\A]\r\n\"GlobalFlag\"=dword:00001000\r\n\"X\"=-\r\n";
        assert_eq!(text, expect);
    }
}
