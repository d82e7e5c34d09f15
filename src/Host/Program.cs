// The host's entry: everything that a process is (signals, the product's lock, the console) is tied to the command line here.

using System.Text;
using PeftAlign.Host;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Commands;
using PeftAlign.Host.Publishing;

CarriedSsl.Offer();
using var inUse = ProductInUse.Hold();
// Results are UTF-8 whatever the locale says; the console's own writer hands long rows out in pieces of 256 characters.
using var results = TextWriter.Synchronized(new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false), 1 << 14) { AutoFlush = true });
Console.SetOut(Console.Error); // what a plugin prints is no result
using var remarks = TextWriter.Synchronized(new StreamWriter(new RemarkStream(Console.OpenStandardError()), new UTF8Encoding(false)) { AutoFlush = true });
var code = await new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(args);
if (args is [var command, ..] && command == JobCommand.Entry.Name) ProcessEnd.SkipDestructors();
return code;
