import java.io.ByteArrayInputStream;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/**
 * Runs Apache Kafka's tools for ../go/cmd/parity, one after the other in this process. A line of standard input is a run: the
 * main class, standard input and the arguments, those in base64, with blanks between them. Each is answered by a line with the
 * exit code, standard output, standard error, and the milliseconds it took.
 */
public final class Parity {
    private Parity() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        BufferedReader runs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = runs.readLine(); line != null; line = runs.readLine()) {
            String[] words = line.split(" ", -1);
            String[] toolArgs = new String[words.length - 2];
            for (int i = 0; i < toolArgs.length; i++) {
                toolArgs[i] = new String(decode(words[i + 2]), StandardCharsets.UTF_8);
            }
            long begin = System.nanoTime();
            ToolRun run = ToolRun.any(new ByteArrayInputStream(decode(words[1])), words[0], toolArgs);
            answers.printf("%d %s %s %d%n", run.code, encode(run.out), encode(run.err), (System.nanoTime() - begin) / 1_000_000);
            answers.flush();
        }
        // Tools leave threads behind.
        Runtime.getRuntime().halt(0);
    }

    // "-" stands for nothing, so that no word is empty.
    private static byte[] decode(String word) {
        return word.equals("-") ? new byte[0] : Base64.getDecoder().decode(word);
    }

    private static String encode(String text) {
        return text.isEmpty() ? "-" : Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }
}
