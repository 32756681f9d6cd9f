package headrace_test

import (
	"context"
	"fmt"
	"log"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace"
)

// A broker for the length of a test: no port to choose, nothing to clean up.
func Example() {
	ctx := context.Background()
	node, err := headrace.Start(ctx, headrace.Config{Topics: map[string]int32{"greetings": 1}})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	client, err := kgo.NewClient(
		kgo.SeedBrokers(node.Addresses()...),
		kgo.DefaultProduceTopic("greetings"),
		kgo.ConsumeTopics("greetings"),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, kgo.StringRecord("hello")).FirstErr(); err != nil {
		log.Fatal(err)
	}
	for _, r := range client.PollFetches(ctx).Records() {
		fmt.Println(r.Topic, r.Partition, r.Offset, string(r.Value))
	}
	// Output: greetings 0 0 hello
}

// A node that opens no port: clients of the same program reach it through its Dial.
func ExampleNode_Dial() {
	ctx := context.Background()
	node, err := headrace.Start(ctx, headrace.Config{InProcess: true, Topics: map[string]int32{"greetings": 1}})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addresses()...), kgo.Dialer(node.Dial))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result := client.ProduceSync(ctx, &kgo.Record{Topic: "greetings", Value: []byte("hello")})
	fmt.Println(result[0].Record.Offset, result.FirstErr())
	// Output: 0 <nil>
}

// Any key of server.properties can be set for the node.
func ExampleConfig() {
	node, err := headrace.Start(context.Background(), headrace.Config{
		Properties: map[string]string{
			"auto.create.topics.enable": "false",
			"message.max.bytes":         "4000000",
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(node.Close())
	// Output: <nil>
}
