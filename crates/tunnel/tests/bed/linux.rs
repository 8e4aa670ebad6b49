//! A Linux end made of software that nobody here wrote: `wireguard-go`, and the kernel's own `vxlan`
//! device on top, set up by the commands that `docs/wire.md` prints.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use model::PublicKey;

use super::Hosts;

const PAGE: &str = include_str!("../../../../docs/wire.md");
const CHAPTER: &str = "## A plain Linux end\n";
const FIRST_LINE: &str = "ip link add wg0 type wireguard\n";
const INSTEAD: &str = "wireguard-go wg0";
const DONE: &str = "@@done";
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// A shell in the underlay's right namespace. Its mounts and processes are its own, so that the
/// device's control socket and the key are seen by nobody else, and everything ends with it.
pub struct LinuxEnd {
    shell: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    gateway_key: String,
}

impl LinuxEnd {
    /// A shell in which nothing is set up yet. The host at the right end moves to where the shell is.
    pub fn new(hosts: &mut Hosts, private_key: &[u8; 32], gateway: &PublicKey) -> LinuxEnd {
        hosts.ends[1].0 = hosts.names[1].clone();
        let mut shell = Command::new("ip")
            .args(["netns", "exec", &hosts.names[1], "unshare", "--mount"])
            .args(["--pid", "--fork", "--kill-child", "bash", "-e"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the programs ip, unshare and bash");
        let lines = BufReader::new(shell.stdout.take().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut end = LinuxEnd {
            input: shell.stdin.take(),
            shell,
            output,
            gateway_key: base64(&gateway.0),
        };
        end.run(&format!(
            "exec 2>&1
             mount -t tmpfs tmpfs /run && mkdir /run/wireguard
             mount -t tmpfs tmpfs /etc/wireguard
             (umask 077; echo {} > /etc/wireguard/key)
             GATEWAY_PUBLIC_KEY={}
             # Else the kernel sends of its own accord, and so decides who calls first.
             echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
            base64(private_key),
            end.gateway_key,
        ));
        end
    }

    /// Runs the commands of the page, with the program that it names instead of a kernel's device.
    pub fn set_up(&mut self) {
        let commands = page_commands();
        self.run(&commands);
    }

    /// Runs commands and returns what they print.
    ///
    /// # Panics
    /// When one fails, with all that was printed.
    pub fn run(&mut self, commands: &str) -> String {
        let text = format!("{commands}\necho {DONE}\n");
        let written = self.input.as_mut().unwrap().write_all(text.as_bytes());
        let mut printed = String::new();
        loop {
            match self.output.recv_timeout(COMMAND_LIMIT) {
                Ok(line) if line == DONE => break,
                Ok(line) => printed.extend([&line, "\n"]),
                Err(error) => panic!("{commands}\nfailed ({error}, {written:?}):\n{printed}"),
            }
        }
        printed
    }

    /// Changes how the gateway is spoken to, as further arguments of `wg set`.
    pub fn set_peer(&mut self, arguments: &str) {
        let command = format!("wg set wg0 peer {} {arguments}", self.gateway_key);
        self.run(&command);
    }

    /// Seconds of the last handshake since the epoch, 0 before the first.
    pub fn last_handshake(&mut self) -> u64 {
        let shown = self.run("wg show wg0 latest-handshakes");
        let last = shown.split_whitespace().last();
        last.and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{shown}"))
    }
}

impl Drop for LinuxEnd {
    fn drop(&mut self) {
        // The shell ends with its input, and with it every process that it made.
        self.input = None;
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// The page's block of commands, its first line replaced as the page itself says.
pub fn page_commands() -> String {
    let (_, chapter) = PAGE.split_once(CHAPTER).expect("the chapter");
    let mut parts = chapter.split("```");
    let (_, commands, below) = (parts.next(), parts.next(), parts.next());
    let (commands, below) = (commands.expect("the commands"), below.expect("a text"));
    assert!(commands.contains(FIRST_LINE), "{commands}");
    assert!(below.contains(&format!("`{INSTEAD}`")), "{below}");
    commands.replacen(FIRST_LINE, &format!("{INSTEAD}\n"), 1)
}

fn base64(bytes: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text: String = bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = chunk
                .iter()
                .chain(&[0, 0])
                .take(3)
                .fold(0usize, |word, byte| word << 8 | usize::from(*byte));
            [18, 12, 6, 0].map(|shift| char::from(ALPHABET[word >> shift & 63]))
        })
        .collect();
    // 32 bytes are 43 digits and one of padding.
    text.truncate(43);
    text + "="
}
