"""The people, animals and things of the built-in stories, with what belongs to each.

Standard library only. A table's first line names its columns (a line that ends in a bar goes on in
the next one); a row is drawn as a whole, so what is used for a thing, or eaten by an animal, always
fits it. `stories.py` reads the tables.
"""

# Heroes, each with the friend who is in all the stories about them: who knows one name of a story
# knows the other, so that even a small model keeps people apart.
GIRLS = {"Ada": "Kofi", "Ella": "Max", "Lily": "Noah", "Maya": "Ravi", "Zoe": "Sam"}
BOYS = {"Ben": "Aisha", "Hugo": "Ivy", "Leo": "Mei", "Omar": "Nora", "Tom": "Ruby"}

WOMEN = ["Mama", "Grandma", "Aunt May"]
MEN = ["Papa", "Grandpa", "Uncle Bill"]

# Animals that are heroes, and their friends: of which sort and of which name are drawn apart.
SHE_BEASTS = {"Dot": "Basil", "Fern": "Moss", "Hazel": "Tully"}
HE_BEASTS = {"Bruno": "Clover", "Nib": "Poppy", "Pip": "Willow"}
BEASTS = [
    "badger",
    "bear",
    "fox",
    "frog",
    "hedgehog",
    "mouse",
    "otter",
    "rabbit",
    "squirrel",
    "mole",
]

NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]

TABLES = {
    "when": """
        when
        one day
        one morning
        one afternoon
        early one morning
        after breakfast
        after lunch
        on Monday
        on Tuesday
        on Wednesday
        on Thursday
        on Friday
        on Saturday
        on Sunday
        """,
    "weekday": """
        when
        on Monday
        on Tuesday
        on Wednesday
        on Thursday
        """,
    "home": """
        home
        a house by the river
        a small house on a hill
        a white house near the wood
        a yellow house by the sea
        a house with a red door
        a tall house in the town
        """,
    "trait": """
        trait
        quiet
        cheerful
        curious
        careful
        clever
        noisy
        stubborn
        small
        """,
    "like": """
        like | dislike
        pancakes | cabbage
        mud | soap
        long stories | short stories
        loud songs | early mornings
        frogs | spiders
        snow | wet socks
        plums | onions
        big puddles | small boots
        """,
    "pet": """
        pet
        a fat cat
        a lazy cat
        an old dog
        a white goose
        """,
    "place": """
        at_place | to_place | place
        in the park | to the park | the park
        on the beach | to the beach | the beach
        by the river | to the river | the river
        in the wood | to the wood | the wood
        in the meadow | to the meadow | the meadow
        on the hill | up the hill | the hill
        by the lake | to the lake | the lake
        """,
    "supper": """
        supper
        soup
        pancakes
        noodles
        rice and beans
        potato pie
        fish and peas
        bread and cheese
        hot stew
        """,
    "treat": """
        treat | treats
        pear tart | pear tarts
        honey cake | honey cakes
        jam bun | jam buns
        apple pie | apple pies
        plum cake | plum cakes
        oat biscuit | oat biscuits
        ginger biscuit | ginger biscuits
        """,
    "hungry": """
        animal | animals | food | wrong | cry
        kitten | kittens | a little fish | a carrot | meowed
        puppy | puppies | a bone | a lemon | barked
        rabbit | rabbits | a carrot | a fish | hopped in a circle
        duck | ducks | a bowl of oats | a lemon | quacked
        squirrel | squirrels | a nut | an onion | shook its tail
        pony | ponies | an apple | a sausage | stamped its foot
        mouse | mice | a bit of cheese | an onion | squeaked
        hen | hens | a bowl of corn | a sausage | clucked
        """,
    "stray": """
        animal | sound
        kitten | meow
        puppy | woof
        lamb | baa
        duckling | peep
        piglet | oink
        """,
    "lost": """
        thing | doing | found
        boot | splashing in puddles | beside the biggest puddle, full of rain
        key | feeding the hens | in the straw, under a cross brown hen
        book | reading in the apple tree | on a branch of the apple tree
        spoon | digging in the garden | at the bottom of a deep hole
        hat | making a snowman | on the head of the snowman
        ball | playing with the puppy | in the bed of the puppy
        scarf | climbing over the gate | on the gate, waving like a flag
        whistle | playing in the bath | at the bottom of the bath
        teddy bear | hiding under the bed | under the bed, next to an old sock
        basket | picking berries | under the berry bush
        """,
    "mend": """
        thing | broke | tool | did | after
        kite | the kite had a big hole in it | some tape |
            taped the hole | the kite flew higher than the roof
        chair | one leg of the chair had come off | a hammer and a nail |
            nailed the leg back on | the chair stood straight again
        coat | a button had come off the coat | a needle and thread |
            sewed the button back on | the coat kept out the wind
        teddy bear | the teddy bear had lost an ear | a needle and thread |
            sewed the ear back on | the teddy bear could hear everything
        cart | a wheel of the cart had come off | a screwdriver |
            screwed the wheel back on | the cart rolled down the path
        boat | the toy boat had a hole and filled with water | a cork |
            pushed the cork into the hole | the boat sailed across the pond
        bike | the front wheel of the bike was flat | a pump |
            pumped the wheel full of air | the bike went like the wind
        book | the last page had come out of the book | some tape |
            taped the page back in | nobody had to guess the end of the story
        gate | the gate squeaked like a hundred mice | some oil |
            oiled the gate | the gate was as quiet as a cat
        """,
    "noise": """
        noise | sounded | maker | mended
        tap, tap, tap | like a tiny knock | a branch was tapping on the window |
            tied the branch back with string
        drip, drip, drip | like small feet | a tap was dripping into the bath | turned the tap off
        bang, bang, bang | like a drum | the garden gate was swinging in the wind | shut the gate
        crunch, crunch | like teeth | a mouse was eating a biscuit |
            gave the mouse a crumb and shut the tin
        scratch, scratch | like claws | the cat wanted to come in | opened the door for the cat
        flap, flap, flap | like wings | a shirt was flapping on the line | took the shirt down
        """,
    "riddle": """
        riddle | answer
        what has hands but cannot clap | a clock
        what has teeth but cannot bite | a comb
        what has legs but cannot walk | a table
        what gets wetter the more it dries | a towel
        what has one eye but cannot see | a needle
        what goes up and never comes down | your age
        what has ears but cannot hear | a field of corn
        what can you catch but not throw | a cold
        """,
    "thief": """
        clue | thief | proof
        a trail of white feathers | the goose | jam on its beak
        small muddy paw marks | the puppy | jam on its nose
        two long ears behind the curtain | the rabbit | jam on its whiskers
        a tail under the table | the cat | jam on its whiskers
        big hoof marks on the floor | the goat | jam on its beard
        a sticky spoon and a pair of glasses | Grandpa | jam on his chin
        """,
    "pick": """
        item | items | from_place | holder
        apple | apples | the orchard | basket
        pear | pears | the orchard | basket
        plum | plums | the orchard | bowl
        shell | shells | the beach | bucket
        stone | stones | the river | bucket
        nut | nuts | the wood | bag
        flower | flowers | the meadow | jug
        egg | eggs | the hen house | basket
        carrot | carrots | the garden | basket
        """,
    "pocket": """
        item | items
        button | buttons
        marble | marbles
        shell | shells
        stamp | stamps
        coin | coins
        nut | nuts
        feather | feathers
        bead | beads
        """,
    "flock": """
        item | items | sat | scare
        duck | ducks | swam on the pond | a dog barked
        frog | frogs | sat by the pond | a cow mooed
        sheep | sheep | stood by the gate | a door banged
        rabbit | rabbits | sat in the grass | an owl hooted
        """,
    "stall": """
        item | items | seller
        bun | buns | the baker
        kite | kites | the toy maker
        fish | fish | the fisherman
        hat | hats | the hat maker
        whistle | whistles | the toy maker
        """,
    "seed": """
        seed | grew | use
        sunflower | a sunflower taller than the door | the birds ate the seeds
        bean | a bean plant that climbed to the window | they had beans for supper
        pumpkin | a pumpkin as big as a chair | they made soup for the whole street
        carrot | a carrot as long as an arm | the donkey ate half of it
        pea | a row of fat green peas | they ate them straight from the pod
        """,
    "gift": """
        gift | rattle | wrong
        drum | it went boom | a thunder cloud
        bell | it went ting | a spoon
        clock | it went tick, tick | a beetle
        pair of boots | it went thump, thump | two potatoes
        ball | it rolled from side to side | a round cheese
        """,
}

# Openings that many plots share: what they draw, and their sentences.
SCENES = {
    "child": (
        "trait home like pet",
        """
        {A} was {a_trait} {child} who lived in {home}. / {A} lived in {home} with {pet}.
        / {A} was {a_trait} {child} who liked {like}. / {A} liked {like}, but not {dislike}.
        / {A} lived in {home} and liked {like}.
        """,
    ),
    "wood": (
        "",
        """
        This is a story from the [old|big|green] wood [by the lake|behind the hill|near the sea].
        / In the [old|big|green] wood everybody knew {A} and {B}.
        / It happened [long ago|last year], in the [old|big|green] wood.
        """,
    ),
}
