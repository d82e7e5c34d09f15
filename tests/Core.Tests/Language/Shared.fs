// Larger checks against reference data that lies beside a checkout; skipped, with the reason, where it does not.
module PeftAlign.Core.Tests.Language.Shared

open System
open System.IO
open NUnit.Framework

let rec private upwards (folder: DirectoryInfo | null) =
    seq {
        match folder with
        | null -> ()
        | folder ->
            yield folder.FullName
            yield! upwards folder.Parent
    }

/// A folder of the shared data; the test is skipped where there is none.
let folder (name: string) =
    let roots =
        match Environment.GetEnvironmentVariable "PEFTALIGN_SHARED" with
        | null
        | "" ->
            upwards (DirectoryInfo AppContext.BaseDirectory)
            |> Seq.map (fun root -> Path.Combine(root, "shared"))
        | given -> Seq.singleton given

    match
        roots
        |> Seq.map (fun root -> Path.Combine(root, name))
        |> Seq.tryFind Directory.Exists
    with
    | Some found -> found
    | None ->
        Assert.Ignore $"no shared/{name} beside the checkout; PEFTALIGN_SHARED may name it"
        ""
