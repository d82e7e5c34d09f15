// YAML text -> nodes. YamlDotNet delivers parser events; anchors, '<<', tags and bounds are decided here, so that a small text
// cannot grow without bound (anchor bombs), nest deeper than a stack allows, or ask for objects.
namespace PeftAlign.Core.Language

open System
open System.Collections.Generic
open System.IO
open System.Text.RegularExpressions
open YamlDotNet.Core
open YamlDotNet.Core.Events

module internal Yaml =
    let maxText = 4 * 1024 * 1024
    let maxDepth = 64
    let maxNodes = 200_000

    /// What a text is, for messages: what it is called, and what to do where it holds nothing.
    type Kind = { Name: string; Start: string }

    let private manifest =
        {
            Name = "manifest"
            Start = "start it with 'peftalign: 1'"
        }

    let claims =
        {
            Name = "set of claims"
            Start = "start it with 'claims:'"
        }

    /// The right side of an override.
    let setting =
        {
            Name = "value"
            Start = "write one behind the '=', if only null"
        }

    /// Whatever has a grammar of its own.
    let plain =
        {
            Name = "file"
            Start = "write YAML into it"
        }

    /// Raised inside this file only, after its fault was added.
    exception private Stop

    let private coreTags =
        dict
            [
                "tag:yaml.org,2002:str", (fun text -> Some(Scalars.Text text))
                "tag:yaml.org,2002:null",
                (fun text ->
                    if Scalars.resolve text = Scalars.Null then
                        Some Scalars.Null
                    else
                        None)
                "tag:yaml.org,2002:bool",
                (fun text ->
                    match Scalars.resolve text with
                    | Scalars.Flag _ as value -> Some value
                    | _ -> None)
                "tag:yaml.org,2002:int",
                (fun text ->
                    match Scalars.resolve text with
                    | Scalars.Whole _ as value -> Some value
                    | _ -> None)
                "tag:yaml.org,2002:float",
                (fun text ->
                    match Scalars.resolve text with
                    | Scalars.Whole value -> Some(Scalars.Real(float value))
                    | Scalars.Real _ as value -> Some value
                    | _ -> None)
            ]

    /// One document's reader: pulls events, keeps anchors.
    type private Composer(parser: IParser, faults: Faults, origin: string, kind: Kind) =
        let anchors = Dictionary<string, Node>()
        let unfinished = HashSet<string>()
        let mutable total = 0

        let markOf (mark: YamlDotNet.Core.Mark) : Place =
            {
                Line = int mark.Line
                Column = int mark.Column
                Origin = origin
            }

        let current () = nonNull parser.Current

        let stop mark message =
            faults.Add(mark, "", message)
            raise Stop

        /// The scanner fails in its own ways on some broken texts; that too is a fault of the text.
        let next () =
            let last =
                match parser.Current with
                | null ->
                    {
                        Line = 1
                        Column = 1
                        Origin = origin
                    }
                | event -> markOf event.End

            try
                parser.MoveNext() |> ignore
            with
            | :? YamlException -> reraise ()
            | :? InvalidOperationException
            | :? ArgumentException
            | :? IndexOutOfRangeException ->
                stop last "not YAML: the text after this place cannot be read; look for a bracket or quote too many"

        let count mark nodes =
            total <- total + nodes

            if total > maxNodes then
                stop
                    mark
                    $"the {kind.Name} grows beyond {maxNodes} nodes once its aliases are expanded; use fewer aliases of aliases"

        let broken mark message =
            faults.Add(mark, "", message)
            Node(mark, Broken)

        let refused (tag: TagName) =
            $"the tag {tag.Value} asks for an object; a {kind.Name} holds plain data only, remove the tag"

        /// A list or mapping may carry its own core tag and no other.
        let collection mark (tag: TagName) (expected: string) (node: Node) =
            if tag.IsEmpty || tag.IsNonSpecific || tag.Value = "tag:yaml.org,2002:" + expected then
                node
            else
                broken mark (refused tag)

        let scalar mark (event: Events.Scalar) =
            let tagged = not event.Tag.IsEmpty && not event.Tag.IsNonSpecific

            if tagged then
                match coreTags.TryGetValue event.Tag.Value with
                | true, convert ->
                    match convert event.Value with
                    | Some value -> Node(mark, Body.Scalar(value, event.Value))
                    | None -> broken mark $"{Suggest.shown event.Value} is no value of {event.Tag.Value}"
                | _ -> broken mark (refused event.Tag)
            elif event.Style = ScalarStyle.Plain then
                Node(mark, Body.Scalar(Scalars.resolve event.Value, event.Value))
            else
                Node(mark, Body.Scalar(Scalars.Text event.Value, event.Value))

        /// The mappings that one '<<' brings in: a mapping or a list of them, the earlier winning.
        let inherited (value: Node) =
            match value.Body with
            | Mapping entries -> [| entries |]
            | Sequence items when items |> Array.forall (fun item -> item.Body.IsMapping || item.Body.IsBroken) ->
                items
                |> Array.choose (fun item ->
                    match item.Body with
                    | Mapping entries -> Some entries
                    | _ -> None)
            | Broken -> [||]
            | _ ->
                faults.Add(value.Mark, "", $"'<<' takes a mapping or a list of mappings, not {Nodes.describe value}")
                [||]

        let mapping mark (own: ResizeArray<Entry>) (merges: ResizeArray<Node>) =
            let seen = Dictionary<string, Place>()
            let kept = ResizeArray<Entry>()

            for entry in own do
                match seen.TryGetValue entry.Key with
                | true, first ->
                    faults.Add(
                        entry.KeyMark,
                        "",
                        $"the key '{entry.Key}' is given twice, first on line {first.Line}; remove one of them"
                    )
                | _ ->
                    seen.Add(entry.Key, entry.KeyMark)
                    kept.Add entry

            let mutable distance = 1

            for entries in merges |> Seq.collect inherited do
                for entry in entries do
                    if seen.TryAdd(entry.Key, entry.KeyMark) then
                        count mark entry.Value.Size

                        kept.Add
                            { entry with
                                Distance = entry.Distance + distance
                            }

                // Every entry of the next mapping is farther away than every entry of this one.
                distance <- distance + 1 + Nodes.farthest entries

            Node(mark, Mapping(kept.ToArray()))

        member private this.Mapping(mark, depth) =
            let own = ResizeArray<Entry>()
            let merges = ResizeArray<Node>()

            while not (parser.Current :? MappingEnd) do
                let keyMark = markOf (current ()).Start

                let isPlain =
                    (match parser.Current with
                     | :? Events.Scalar as key -> key.Style = ScalarStyle.Plain && (key.Tag.IsEmpty || key.Tag.IsNonSpecific)
                     | _ -> false)

                let key: Node = this.Node(depth + 1)
                let value: Node = this.Node(depth + 1)

                match key.Body with
                | Body.Scalar(_, "<<") when isPlain -> merges.Add value
                | Body.Scalar(_, written) ->
                    own.Add
                        {
                            Key = written
                            KeyMark = keyMark
                            IsPlain = isPlain
                            Value = value
                            Distance = 0
                        }
                | Broken -> ()
                | _ -> faults.Add(keyMark, "", "a key is a text; this one is a list or a mapping")

            mapping mark own merges

        member private this.Sequence(mark, depth) =
            let items = ResizeArray<Node>()

            while not (parser.Current :? SequenceEnd) do
                items.Add(this.Node(depth + 1))

            Node(mark, Sequence(items.ToArray()))

        member private _.Alias(mark: Place, name: string) =
            match anchors.TryGetValue name with
            | true, node ->
                count mark node.Size
                node
            | _ when unfinished.Contains name ->
                broken mark $"the alias *{name} stands inside its own anchor &{name}; it would never end"
            | _ -> broken mark $"there is no anchor &{name} before the alias *{name}{Suggest.hint anchors.Keys name}"

        /// Reads the node that starts at the current event and moves past it.
        member this.Node(depth: int) : Node =
            let event = current ()
            let mark = markOf event.Start

            if depth > maxDepth then
                stop mark $"lists and mappings are nested deeper than {maxDepth}; flatten them"

            count mark 1

            let anchor =
                match event with
                | :? NodeEvent as node when not node.Anchor.IsEmpty -> node.Anchor.Value
                | _ -> ""

            if anchor <> "" then
                unfinished.Add anchor |> ignore
                anchors.Remove anchor |> ignore

            let node =
                match event with
                | :? AnchorAlias as alias -> this.Alias(mark, alias.Value.Value)
                | :? Events.Scalar as leaf -> scalar mark leaf
                | :? MappingStart as start ->
                    next ()
                    this.Mapping(mark, depth) |> collection mark start.Tag "map"
                | :? SequenceStart as start ->
                    next ()
                    this.Sequence(mark, depth) |> collection mark start.Tag "seq"
                | other -> stop mark $"unexpected {other.GetType().Name}"

            if node.Depth > maxDepth then
                stop mark $"lists and mappings are nested deeper than {maxDepth} once aliases are expanded; flatten them"

            if anchor <> "" then
                unfinished.Remove anchor |> ignore
                anchors[anchor] <- node

            next ()
            node

        member this.Document() : Node =
            next () // StreamStart
            next ()

            match parser.Current with
            | :? DocumentStart ->
                next ()
                let root = this.Node 1
                next () // DocumentEnd

                if parser.Current :? DocumentStart then
                    faults.Add(
                        markOf (current ()).Start,
                        "",
                        $"a second document starts here; a {kind.Name} is one document: put it into a file of its own"
                    )

                root
            | _ -> stop (markOf (current ()).Start) $"the {kind.Name} is empty; {kind.Start}"

    /// The parser's own words carry a position that the fault already has.
    let private plainMessage (error: YamlException) =
        Regex.Replace(error.Message, @"^\(Line: .*?\): ", "")

    /// YAML keeps tabs out of indentation; YamlDotNet lets some pass.
    let private tabs (text: string) (faults: Faults) origin =
        let mutable line = 0

        for content in text.Split '\n' do
            line <- line + 1
            let indent = content.Length - content.TrimStart([| ' '; '\t' |]).Length

            match content.IndexOf('\t', 0, indent) with
            | -1 -> ()
            | _ when content.Trim() = "" || content.TrimStart().StartsWith '#' -> ()
            | column ->
                faults.Add(
                    {
                        Line = line
                        Column = column + 1
                        Origin = origin
                    },
                    "",
                    $"line {line} is indented with a tab; YAML takes spaces only"
                )

    /// The root of a document of that kind; None after a fault that ends reading.
    let parseAs (kind: Kind) (text: string) (origin: string) (faults: Faults) : Node option =
        let mark line column : Place =
            {
                Line = line
                Column = column
                Origin = origin
            }

        if text.Length > maxText then
            faults.Add(mark 1 1, "", $"the {kind.Name} has {text.Length} characters; the limit is {maxText}")
            None
        else
            let before = faults.Count

            try
                let parser = Parser(Scanner(new StringReader(text), true))
                let root = Composer(parser, faults, origin, kind).Document()
                tabs text faults origin
                Some root
            with
            | Stop -> None
            | :? YamlException as error ->
                tabs text faults origin

                if faults.Count = before then
                    faults.Add(mark (int error.Start.Line) (int error.Start.Column), "", $"not YAML: {plainMessage error}")

                None

    /// As parseAs, of a manifest.
    let parse text origin (faults: Faults) = parseAs manifest text origin faults
