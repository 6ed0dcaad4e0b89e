//! The lab's command line.
use qemu_tests::failure::Result;
use qemu_tests::{sandbox, topology::Lab};

fn main() -> Result {
    sandbox::enter()?;
    let t = std::time::Instant::now();
    let lab = Lab::two_wans()?;
    println!("built in {:?}", t.elapsed());
    println!("{}", lab.client.run("ip a")?);
    println!("{}", lab.client.run("ip r")?);
    println!("{}", lab.client.run("ping -c 3 -i 0.2 -I wan2 203.0.113.1")?);
    println!("{}", lab.client.run("ping -c 3 -i 0.2 203.0.113.12")?);
    Ok(())
}
