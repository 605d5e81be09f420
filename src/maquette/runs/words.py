"""Two friendly words that tell runs of one name apart."""

from random import Random

ADJECTIVES = """
amber airy agile ardent azure balmy bold brave breezy bright brisk calm candid careful cheerful
clever coral cosy crisp curious daring deft dewy eager early earnest easy fair fearless fleet fond
fresh gentle glad golden graceful hardy hazel honest humble jolly keen kind lively loyal lucid
lunar mellow merry mild misty modest neat nimble noble patient playful plucky proud quiet rosy
rustic serene silent silver sincere smooth snowy solar steady stellar sunny swift tender thrifty
tidy tranquil trusty upbeat velvet vivid warm wise witty young zesty
"""
NOUNS = """
acorn alder anchor apple atlas badger bamboo beacon beech birch bison bloom breeze bridge brook
canyon cedar cello cherry clover comet coral crane creek cypress daisy delta dove dune ember
falcon fern finch fjord flute forest fox garden glacier grove harbor harp hawk heron hill island
ivy juniper kite lagoon lantern lark leaf lemon lily linden lotus lynx maple marble meadow moon
moss mountain oak oasis olive orchard orchid otter owl pebble pepper pine planet plum pond poppy
prairie quartz rabbit rain raven reef ridge river robin rose sail sparrow spruce star stone stream
summit swallow thistle tulip valley violet walnut wave willow wren
"""


def two_words(generator: Random) -> str:
    """An adjective and a noun, such as `calm-otter`."""
    return f"{generator.choice(ADJECTIVES.split())}-{generator.choice(NOUNS.split())}"
