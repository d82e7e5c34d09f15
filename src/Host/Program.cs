// The host's entry: everything that a process is (signals, the product's lock, the console) is tied to the command line here.

using PeftAlign.Host;
using PeftAlign.Host.CommandLine;

using var inUse = ProductInUse.Hold();
return await new Dispatcher(Catalogue.Commands, Console.Out, Console.Error).RunAsync(args);
