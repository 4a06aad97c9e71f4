import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Serves Orders and prints its address. A method is found by its name and the types of its parameters. The headers
 * Abt2-Env and Abt2-To of the last call, and its body, are the answer to a GET.
 */
abstract class Server implements Orders {
    private final AtomicInteger received = new AtomicInteger();
    private volatile String last = "";

    /** Answers a call. An exception is a refusal without a body. */
    abstract byte[] answer(byte[] call) throws Exception;

    /** What became of a call: status and error, or a result. */
    static class Outcome {
        int status;
        Object result;
        Throwable error;
    }

    void run() throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/service_api/Orders", this::serve);
        server.start();
        System.out.println("127.0.0.1:" + server.getAddress().getPort());
        while (System.in.read() >= 0) {
            continue; // until the test ends
        }
        System.exit(0);
    }

    private void serve(HttpExchange x) {
        try {
            if (x.getRequestMethod().equals("GET")) {
                answer(x, 200, last.getBytes("UTF-8"));
                return;
            }
            byte[] body = x.getRequestBody().readAllBytes();
            last = x.getRequestHeaders().getFirst("Abt2-Env") + " " + x.getRequestHeaders().getFirst("Abt2-To") + " " + new String(body, "UTF-8");
            if (x.getRequestHeaders().getFirst("Content-Length") == null) {
                throw new IllegalArgumentException("a call without a length");
            }
            answer(x, 200, answer(body));
        } catch (Exception e) {
            try {
                answer(x, 400, new byte[0]); // as the servlet
            } catch (Exception gone) {
                System.err.println(gone);
            }
        } finally {
            x.close();
        }
    }

    /** Invokes a method of Orders, whose status is 1 if there is none of that name and types, and 2 if it throws. */
    Outcome invoke(String method, String[] types, Object[] arguments) throws IllegalAccessException {
        Outcome out = new Outcome();
        String[] wanted = types == null ? new String[0] : types;
        for (Method m : Orders.class.getMethods()) {
            String[] has = Arrays.stream(m.getParameterTypes()).map(Class::getName).toArray(String[]::new);
            if (!m.getName().equals(method) || !Arrays.equals(has, wanted)) {
                continue;
            }
            try {
                out.result = m.invoke(this, arguments);
            } catch (InvocationTargetException e) {
                out.status = 2;
                out.error = e.getTargetException();
            }
            return out;
        }
        out.status = 1;
        out.error = new NoSuchMethodException(method + Arrays.toString(wanted));
        return out;
    }

    private static void answer(HttpExchange x, int status, byte[] body) throws Exception {
        String type = x.getRequestHeaders().getFirst("Content-Type");
        if (type != null) {
            x.getResponseHeaders().set("Content-Type", type);
        }
        x.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        if (body.length > 0) {
            x.getResponseBody().write(body);
        }
    }

    @Override
    public Order get(long id) {
        return new Order(id, "book");
    }

    @Override
    public String join(String text, int times) {
        return text.repeat(times);
    }

    @Override
    public void nothing() {
    }

    @Override
    public Order missing(long id) {
        return null;
    }

    @Override
    public String refuse(String why) {
        received.incrementAndGet();
        throw new IllegalStateException(why);
    }

    @Override
    public String slow(long millis) {
        received.incrementAndGet();
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        return "late";
    }

    @Override
    public int received() {
        return received.get();
    }
}
