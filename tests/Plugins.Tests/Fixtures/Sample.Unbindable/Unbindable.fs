// A plugin whose options class has a property that no option can have.
namespace Sample.Unbindable

open PeftAlign.Abstractions

/// An F# option does not bind; Nullable<int> would.
type UnbindableOptions() =
    member val Limit: int option = None with get, set

type UnbindablePlugin() =
    interface IPlugin with
        member _.Register(registry) =
            registry.Add<IDatasetReader, UnbindableOptions>(
                "unbindable",
                1,
                (fun _ _ ->
                    { new IDatasetReader with
                        member _.Read _ = Seq.empty
                    })
            )

module Entry =
    [<assembly: PeftAlignPlugin(typeof<UnbindablePlugin>)>]
    do ()
