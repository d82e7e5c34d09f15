// Assemblies that are compiled before they run: with .NET's compiler for that, without it, and when it is not wanted.

using System.Reflection.PortableExecutable;

namespace PeftAlign.Setup.Tests;

public class AheadTests
{
    private static string Product => Path.Combine(Clone.Repository, ".build", "current");

    private static bool IsCompiled(string file)
    {
        using var reader = new PEReader(File.OpenRead(file));
        return reader.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size > 0;
    }

    // Whether it was depends on the registry and on PEFTALIGN_AHEAD on the day when it was built.
    [Test]
    public void TheProductIsCompiledAsAWholeButForPlugins()
    {
        string[] names = ["PeftAlign.Host", "PeftAlign.Core", "PeftAlign.Models", "FSharp.Core"];
        Assert.That(names.Select(name => IsCompiled(Path.Combine(Product, name + ".dll"))).Distinct().Count(), Is.EqualTo(1));
        var plugin = Path.Combine(Product, "plugins", "eval", "PeftAlign.Eval.dll");
        Assert.That(IsCompiled(plugin), Is.False, "plugin.json has the hash of what the plugin's own build made");
    }

    [Test]
    public void AnAssemblyIsCompiledAndIsKeptWithHowItWas()
    {
        using var clone = new Clone(built: false);
        Directory.CreateDirectory(Path.Combine(clone.Build, "new"));
        var assembly = Path.Combine(clone.Build, "new", "nunit.framework.dll");
        File.Copy(typeof(Assert).Assembly.Location, assembly);
        Assert.That(IsCompiled(assembly), Is.False);
        var outcome = clone.Bash("""
            AHEAD_ASSEMBLIES=(nunit.framework); cp -- "$BUILD/new/nunit.framework.dll" "$BUILD/first"; dotnet_ensure
            ahead_compile "$BUILD/new"; ls "$BUILD/ahead" | grep nunit || exit 0
            cp -- "$BUILD/first" "$BUILD/new/nunit.framework.dll"; AHEAD_OPTIONS=(--targetos linux --Os)
            ahead_compile "$BUILD/new"; ls "$BUILD/ahead" | grep nunit
            """);
        Assert.That(outcome.Code, Is.Zero, outcome.Err);
        if (File.Exists(Path.Combine(clone.Build, "ahead", "absent"))) Assert.Ignore("the registry here has no compiler for that: " + File.ReadAllText(Path.Combine(clone.Build, "ahead", "restore.log")));
        Assert.That(IsCompiled(assembly), outcome.Err);
        Assert.That(outcome.Out.TrimEnd().Split('\n'), Has.Length.EqualTo(2).And.Unique, "what other options made is not taken");
    }

    // The program that asks the registry ends an interrupt as it ends a failure; set-up must neither wait for its limit nor go on.
    [Test]
    public void AnInterruptEndsTheWaitForTheRegistry()
    {
        using var clone = new Clone(built: false);
        Directory.CreateDirectory(clone.Build);
        var path = clone.StandIn("nodotnet", "trap 'exit 1' INT; touch \"$ROOT/asked\"; sleep 30");
        var outcome = clone.Bash("""
            DOTNET=nodotnet; set -m
            (ahead_compile "$BUILD/new"; echo went on) &
            until [ -e "$ROOT/asked" ]; do sleep 0.1; done
            kill -INT -- "-$!"; wait "$!" || echo "code $?"; ls "$BUILD/ahead"
            """, new() { ["PATH"] = path });
        Assert.That(outcome.Out, Is.EqualTo("code 130\nrestore.log\n"), outcome.Err);
    }

    [TestCase("no")]
    [TestCase("2")]
    public void AnotherValueIsRefusedBeforeTheBuild(string value)
    {
        using var clone = new Clone(built: false);
        Directory.CreateDirectory(clone.Build);
        var outcome = clone.Bash("NATIVE_KEY=x; dotnet_build() { echo built; }; make_product", new() { ["PEFTALIGN_AHEAD"] = value });
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")), outcome.Err);
        Assert.That(outcome.Err, Does.Contain($"PEFTALIGN_AHEAD={value} is neither 0").And.Contain("set one of them"));
    }

    // A .NET whose registry lacks the package: it is asked once, and the product is left alone.
    [Test]
    public void WithoutTheCompilerTheProductStaysAsItIs()
    {
        using var clone = new Clone(built: false);
        Directory.CreateDirectory(clone.Build);
        var asked = Path.Combine(clone.Root, "asked");
        var path = clone.StandIn("nodotnet", $"echo \"$2\" >>'{asked}'; echo error NU1101; exit 1");
        var outcome = clone.Bash("""
            mkdir "$BUILD/new"; echo bytes >"$BUILD/new/PeftAlign.Host.dll"
            DOTNET=nodotnet; ahead_compile "$BUILD/new"; ahead_compile "$BUILD/new"
            cat "$BUILD/new/PeftAlign.Host.dll"
            touch -d '2 days ago' "$BUILD/ahead/absent"; ahead_compile "$BUILD/new"
            touch -d '2 days' "$BUILD/ahead/absent"; ahead_compile "$BUILD/new"
            """, new() { ["PATH"] = path });
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((0, "bytes\n")), outcome.Err);
        Assert.That(outcome.Err.Split('\n')[1], Does.Contain("not compiled before it runs").And.Contain("ahead/restore.log"));
        Assert.That(File.ReadAllLines(asked), Has.Length.EqualTo(3), "once, again the next day, and where the clock was set back");
        Assert.That(File.ReadAllText(Path.Combine(clone.Build, "ahead", "restore.log")), Does.Contain("NU1101"));
    }

    [Test]
    public void ItCanBeLeftOut()
    {
        using var clone = new Clone(built: false);
        Directory.CreateDirectory(clone.Build);
        var outcome = clone.Bash("mkdir \"$BUILD/new\"; DOTNET=/nonexistent; ahead_compile \"$BUILD/new\"; ls \"$BUILD\"", new() { ["PEFTALIGN_AHEAD"] = "0" });
        Assert.That(outcome, Is.EqualTo(new Outcome(0, "new\n", "")));
    }

    // An assembly that the compiler refuses is kept, and said.
    [Test]
    public void WhatCannotBeCompiledStays()
    {
        using var clone = new Clone(built: false);
        Directory.CreateDirectory(clone.Build);
        var path = clone.StandIn("crossgen", "case $1 in *Torch.dll) echo broken; exit 1;; *) printf 'made of %s' \"${1##*/}\" >\"$3\";; esac");
        var outcome = clone.Bash("""
            mkdir "$BUILD/new" "$BUILD/9.9"; AHEAD_ASSEMBLIES=(PeftAlign.Torch PeftAlign.Core)
            ahead_find() { AHEAD_COMPILER=crossgen AHEAD_FRAMEWORK=$BUILD/9.9; }
            for name in "${AHEAD_ASSEMBLIES[@]}"; do echo "$name" >"$BUILD/new/$name.dll"; done
            ahead_compile "$BUILD/new"; cat "$BUILD"/new/PeftAlign.{Torch,Core}.dll; echo; LC_ALL=C ls "$BUILD/ahead" | sed 's/-[0-9a-f]*-/-KEY-/'
            """, new() { ["PATH"] = path });
        Assert.That(outcome.Out, Is.EqualTo("PeftAlign.Torch\nmade of PeftAlign.Core.dll\nPeftAlign.Core-KEY-9.9.dll\ncompile.log\n"), outcome.Err);
        Assert.That(outcome.Err, Does.Contain("PeftAlign.Torch stays as it is"));
    }
}
