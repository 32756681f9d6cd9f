import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.utils.Exit;

/**
 * One run of a Kafka tool's main method inside this process, because a process a tool would take most of the suite's
 * time. A tool that exits ends its run with that code instead; what it prints is kept.
 */
final class ToolRun {
    private static final long LIMIT_SECONDS = 60;
    private static final PrintStream REPORT = System.out;

    final String name;
    final int code;
    final String out;
    final String err;
    final Throwable failure; // what main threw, or null

    private ToolRun(String name, int code, String out, String err, Throwable failure) {
        this.name = name;
        this.code = code;
        this.out = out;
        this.err = err;
        this.failure = failure;
    }

    /** Thrown where a tool would have ended the process. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;
        final int code;

        Ended(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    static ToolRun of(String mainClass, String... args) throws Exception {
        return with(InputStream.nullInputStream(), mainClass, args);
    }

    static ToolRun with(InputStream in, String mainClass, String... args) throws Exception {
        long begin = System.nanoTime();
        ToolRun run = any(in, mainClass, args);
        run.report(args, begin);
        if (run.failure != null) {
            throw new AssertionError(run.name + " failed", run.failure);
        }
        return run;
    }

    /** A run that may end in any way. What a tool throws out of main is told as the JVM would: on standard error, code 1. */
    static ToolRun any(InputStream in, String mainClass, String... args) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream oldOut = System.out;
        PrintStream oldErr = System.err;
        InputStream oldIn = System.in;
        // Some tools call exit again on their way out; the first code counts.
        int[] first = {-1};
        Exit.Procedure exit = (code, message) -> {
            synchronized (first) {
                if (first[0] < 0) {
                    first[0] = code;
                }
            }
            throw new Ended(code);
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((hookName, hook) -> hooks.add(hook));
        Throwable[] failure = {null};
        Thread thread = new Thread(() -> failure[0] = call(mainClass, args), mainClass);
        thread.setDaemon(true);
        try {
            System.setIn(in);
            System.setOut(new PrintStream(out, false, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
            thread.start();
            thread.join(TimeUnit.SECONDS.toMillis(LIMIT_SECONDS));
            if (failure[0] != null) {
                System.err.print("Exception in thread \"main\" ");
                failure[0].printStackTrace();
            }
            if (!thread.isAlive()) {
                hooks.forEach(Runnable::run);
            }
        } finally {
            System.out.flush();
            System.setIn(oldIn);
            System.setOut(oldOut);
            System.setErr(oldErr);
        }
        String name = mainClass.substring(mainClass.lastIndexOf('.') + 1);
        int code = failure[0] != null ? 1 : Math.max(first[0], 0);
        if (thread.isAlive()) {
            failure[0] = new AssertionError(name + " did not end within " + LIMIT_SECONDS + " s");
        }
        return new ToolRun(name, code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8), failure[0]);
    }

    /** Runs a tool in a process of its own, for those that report from a shutdown hook. */
    static ToolRun process(String mainClass, String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"), "-Xmx256m",
            "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), mainClass));
        Collections.addAll(command, args);
        Path out = Files.createTempFile("tool", ".out");
        Path err = Files.createTempFile("tool", ".err");
        long begin = System.nanoTime();
        Process process = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile()).start();
        boolean ended = process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS);
        process.destroyForcibly().waitFor();
        String name = mainClass.substring(mainClass.lastIndexOf('.') + 1);
        ToolRun run = new ToolRun(name, process.exitValue(), Files.readString(out), Files.readString(err), null);
        Files.delete(out);
        Files.delete(err);
        run.report(args, begin);
        if (!ended) {
            throw new AssertionError(name + " did not end within " + LIMIT_SECONDS + " s");
        }
        return run;
    }

    private void report(String[] args, long begin) {
        REPORT.printf("%s %s: exit %d after %d ms%n%s%s", name, String.join(" ", args), code,
            TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin), head(out), head(err));
    }

    static InputStream lines(List<String> lines) {
        return new ByteArrayInputStream((String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static Throwable call(String mainClass, String[] args) {
        try {
            Class.forName(mainClass).getMethod("main", String[].class).invoke(null, (Object) args);
            return null;
        } catch (InvocationTargetException e) {
            return e.getCause() instanceof Ended ? null : e.getCause();
        } catch (ReflectiveOperationException e) {
            return e;
        }
    }

    private static String head(String text) {
        return text.lines().limit(20).map(line -> "    " + line + "\n").reduce("", String::concat);
    }

    /** The run must have ended well. */
    ToolRun ok() {
        return code == 0 ? this : fail("exit code 0");
    }

    /** The run must have been refused, with this text. */
    ToolRun refused(String regex) {
        return code != 0 && Pattern.compile(regex).matcher(out + err).find() ? this : fail("a refusal with " + regex);
    }

    /** Some line printed must match; returns the match. */
    Matcher prints(String regex) {
        Matcher m = Pattern.compile(regex, Pattern.MULTILINE).matcher(out);
        if (!m.find()) {
            fail("a line with " + regex);
        }
        return m;
    }

    ToolRun lacks(String regex) {
        return Pattern.compile(regex, Pattern.MULTILINE).matcher(out).find() ? fail("no line with " + regex) : this;
    }

    long count(String regex) {
        return Pattern.compile(regex, Pattern.MULTILINE).matcher(out).results().count();
    }

    ToolRun counts(String regex, long want) {
        return count(regex) == want ? this : fail(want + " lines with " + regex + ", there are " + count(regex));
    }

    private ToolRun fail(String wanted) {
        throw new AssertionError(name + ": wanted " + wanted + "; exit code " + code + ", output:\n" + head(out) + head(err));
    }
}
