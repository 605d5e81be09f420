"""The people, animals and things of the built-in stories, with what belongs to each.

Standard library only. A table's first line names its columns (a line that ends in a bar goes on in
the next one); a row is drawn as a whole, so what
is used for a thing, or eaten by an animal, always fits it. `stories.py` reads the tables.
"""

GIRLS = [
    "Ada",
    "Aisha",
    "Anna",
    "Ella",
    "Emma",
    "Ivy",
    "Lily",
    "Lucy",
    "Maya",
    "Mei",
    "Nora",
    "Rosa",
    "Ruby",
    "Zoe",
]
BOYS = [
    "Ben",
    "Finn",
    "Hugo",
    "Jack",
    "Kofi",
    "Leo",
    "Max",
    "Noah",
    "Omar",
    "Oscar",
    "Ravi",
    "Sam",
    "Theo",
    "Tom",
]

WOMEN = ["Mama", "Grandma", "Aunt May"]
MEN = ["Papa", "Grandpa", "Uncle Bill"]

# Animals that are heroes: of which sort and of which name are drawn apart.
SHE_BEASTS = ["Dot", "Fern", "Hazel", "Willow", "Poppy"]
HE_BEASTS = ["Basil", "Bruno", "Nib", "Pip", "Tully"]
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
        a flat above a bakery
        a farm near the wood
        a yellow house by the sea
        an old mill
        a house with a red door
        a tall house in the town
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
        puppy | puppies | a bone | a lemon | whined
        rabbit | rabbits | a carrot | a biscuit | thumped its foot
        duck | ducks | a handful of oats | a pickle | quacked
        squirrel | squirrels | a nut | a slice of ham | flicked its tail
        pony | ponies | an apple | a sausage | stamped its foot
        mouse | mice | a crumb of cheese | an onion | squeaked
        hen | hens | a handful of corn | a lemon | clucked
        robin | robins | a few seeds | a boiled egg | chirped
        tortoise | tortoises | a lettuce leaf | a sausage | blinked slowly
        donkey | donkeys | a carrot | a boiled egg | brayed
        goat | goats | a cabbage leaf | a cup of tea | bleated
        """,
    "stray": """
        animal | sound
        kitten | meow
        puppy | woof
        lamb | baa
        duckling | peep
        piglet | oink
        calf | moo
        owlet | hoo
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
        mitten | carrying wood for the fire | in the wood basket
        bag | looking at the ducks | by the pond, with a duck on top
        pencil | drawing at the table | under the table
        teddy bear | hiding under the bed | under the bed, next to an old sock
        basket | picking berries | under the berry bush
        watch | washing the dog | in the bucket, with the soap
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
        cup | the handle of the cup had come off | some glue |
            glued the handle back on | the cup was ready for tea
        cart | a wheel of the cart had come off | a screwdriver |
            screwed the wheel back on | the cart rolled down the path
        boat | the toy boat had a hole and filled with water | a cork |
            pushed the cork into the hole | the boat sailed across the pond
        bike | the front wheel of the bike was flat | a pump |
            pumped the wheel full of air | the bike went like the wind
        swing | the rope of the swing had snapped | a new rope |
            tied a strong knot | the swing went as high as the leaves
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
        squeak, squeak | like a witch | the old swing was moving in the wind |
            tied the swing to the tree
        """,
    "riddle": """
        riddle | answer
        what has hands but cannot clap | a clock
        what has teeth but cannot bite | a comb
        what has legs but cannot walk | a table
        what gets wetter the more it dries | a towel
        what has a neck but no head | a bottle
        what has one eye but cannot see | a needle
        what has keys but opens no door | a piano
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
        a sticky spoon and a loud burp | Grandpa | jam on his chin
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
        crow | crows | sat on the fence | a door banged
        frog | frogs | sat by the pond | a cow mooed
        robin | robins | sat on the roof | the bell rang
        sheep | sheep | stood by the gate | a tractor roared
        rabbit | rabbits | sat in the grass | an owl hooted
        gull | gulls | stood on the sand | a big wave came
        """,
    "stall": """
        item | items | seller
        bun | buns | the baker
        peach | peaches | the fruit seller
        kite | kites | the toy maker
        fish | fish | the fisherman
        hat | hats | the hat maker
        rose | roses | the gardener
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
        puzzle | it rattled | a box of teeth
        clock | it went tick, tick | a beetle
        pair of boots | it went thump, thump | two potatoes
        ball | it rolled from side to side | a round cheese
        bag of marbles | it clicked and clacked | a crab
        """,
}
