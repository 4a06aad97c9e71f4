import com.baidu.beidou.navi.protocol.JsonSerializeHandler;
import com.baidu.beidou.navi.server.vo.RequestDTO;
import com.baidu.beidou.navi.server.vo.ResponseDTO;
import com.baidu.beidou.navi.util.ByteUtil;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Serves Orders as NaviRpcServlet does, with Navi's own codec, and prints its address. Where the servlet finds its
 * methods by their parameter types, so does this. The headers Abt2-Env and Abt2-To of the last call, and its body, are
 * printed by a GET.
 */
public class NaviServer implements Orders {
    private final AtomicInteger received = new AtomicInteger();
    private volatile String last = "";

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        NaviServer orders = new NaviServer();
        server.createContext("/service_api/Orders", orders::serve);
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
            String length = x.getRequestHeaders().getFirst("Content-Length");
            byte[] body = ByteUtil.readStream(x.getRequestBody(), length == null ? -1 : Integer.parseInt(length));
            last = x.getRequestHeaders().getFirst("Abt2-Env") + " " + x.getRequestHeaders().getFirst("Abt2-To") + " " + new String(body, "UTF-8");
            JsonSerializeHandler codec = new JsonSerializeHandler();
            RequestDTO in = codec.deserialize(body, RequestDTO.class, Orders.class, null);
            ResponseDTO out = new ResponseDTO();
            out.setTraceId(in.getTraceId());
            invoke(in, out);
            answer(x, 200, codec.serialize(out, ResponseDTO.class));
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

    private void invoke(RequestDTO in, ResponseDTO out) throws Exception {
        String[] wanted = in.getParamterTypes() == null ? new String[0] : in.getParamterTypes();
        for (Method m : Orders.class.getMethods()) {
            String[] types = Arrays.stream(m.getParameterTypes()).map(Class::getName).toArray(String[]::new);
            if (!m.getName().equals(in.getMethod()) || !Arrays.equals(types, wanted)) {
                continue;
            }
            try {
                out.setResult(m.invoke(this, in.getParameters()));
            } catch (InvocationTargetException e) {
                out.setStatus(2);
                out.setError(new RuntimeException(e.getTargetException()));
            }
            return;
        }
        out.setStatus(1);
        out.setError(new RuntimeException(new NoSuchMethodException(in.getMethod() + Arrays.toString(wanted))));
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
