// YAML documents as trees that C# can walk, with the place of every key and value: for files of other tools, whose readers say
// where a mistake stands. Bounds, anchors and scalars are those of manifests.
namespace PeftAlign.Core

open System
open System.Collections.Generic
open PeftAlign.Core.Language

/// <summary>A value of a YAML document.</summary>
[<Sealed>]
type DocumentNode internal (node: Node) =
    /// <summary>Line, from 1.</summary>
    member _.Line = node.Mark.Line

    /// <summary>Column, from 1.</summary>
    member _.Column = node.Mark.Column

    /// <summary>mapping, list, text, number, boolean or nothing.</summary>
    member _.Kind =
        match node.Body with
        | Mapping _ -> "mapping"
        | Sequence _ -> "list"
        | Scalar(Scalars.Null, _)
        | Broken -> "nothing"
        | Scalar(Scalars.Flag _, _) -> "boolean"
        | Scalar(Scalars.Text _, _) -> "text"
        | Scalar _ -> "number"

    /// <summary>A scalar as it is written, without quotes; empty for lists and mappings.</summary>
    member _.Text =
        match node.Body with
        | Scalar(Scalars.Text text, _) -> text
        | Scalar(_, written) -> written
        | _ -> ""

    /// <summary>A number's value; NaN for everything else.</summary>
    member _.Number =
        match node.Body with
        | Scalar(Scalars.Whole value, _) -> float value
        | Scalar(Scalars.Real value, _) -> value
        | _ -> nan

    /// <summary>A list's items; empty for everything else.</summary>
    member _.Items: IReadOnlyList<DocumentNode> =
        match node.Body with
        | Sequence items -> items |> Array.map DocumentNode :> _
        | _ -> [||]

    /// <summary>A mapping's entries in their order; empty for everything else.</summary>
    member _.Entries: IReadOnlyList<DocumentEntry> =
        match node.Body with
        | Mapping entries -> entries |> Array.map DocumentEntry :> _
        | _ -> [||]

    /// <summary>The value of a mapping's key, or null.</summary>
    member this.Find(key: string) : DocumentNode | null =
        match this.Entries |> Seq.tryFind (fun (entry: DocumentEntry) -> entry.Key = key) with
        | Some entry -> entry.Value
        | None -> null

/// <summary>A key of a mapping and its value.</summary>
and [<Sealed>] DocumentEntry internal (entry: Entry) =
    /// <summary>The key.</summary>
    member _.Key = entry.Key

    /// <summary>The key's line, from 1.</summary>
    member _.Line = entry.KeyMark.Line

    /// <summary>The key's column, from 1.</summary>
    member _.Column = entry.KeyMark.Column

    /// <summary>Whether the key is written without quotes and without a tag, so that YAML may mean something else than a text.</summary>
    member _.IsPlain = entry.IsPlain

    /// <summary>Its value.</summary>
    member _.Value: DocumentNode = DocumentNode entry.Value

/// <summary>A document, or the faults that prevent it. Root is null where there are faults.</summary>
[<NoComparison; NoEquality>]
type DocumentTreeResult =
    {
        Root: DocumentNode | null
        Faults: IReadOnlyList<Fault>
    }

/// <summary>Reading YAML as trees.</summary>
[<AbstractClass; Sealed>]
type DocumentTrees private () =
    /// <summary>Reads one document.</summary>
    /// <param name="text">YAML.</param>
    static member Read(text: string) : DocumentTreeResult =
        let faults = Faults()
        let root = Yaml.parseAs Yaml.plain text "" faults

        {
            Root =
                match root with
                | Some root when faults.Count = 0 -> DocumentNode root
                | _ -> null
            Faults = faults.Sorted()
        }
